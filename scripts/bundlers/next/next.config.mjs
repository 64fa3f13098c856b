/** @type {import("next").NextConfig} */
export default { serverExternalPackages: ["sandbox-agent-persist"] };
