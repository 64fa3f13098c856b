/** Certificate authorities and what they issue, for tests of TLS. openssl makes the certificates, Node the keys. */
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate and its key, as PEM texts. */
export interface Certificate {
  cert: string;
  key: string;
}

export interface Request {
  /** The names and addresses of the server that it is for. */
  hosts?: string[];
  /** The database user whom it makes known, if it is for a client. */
  client?: string;
  /** It was good for one day, years ago. */
  expired?: boolean;
  /** An elliptic curve, P-256, if absent. */
  algorithm?: "ec" | "rsa";
  /** PKCS #8 if absent; traditional is SEC 1 or PKCS #1, as older tools write it. */
  keyFormat?: "pkcs8" | "traditional";
}

export interface Authority {
  /** Its own certificate, which those who trust it have. */
  cert: string;
  issue(request: Request): Certificate;
}

/** Makes an authority that nobody knows yet. It is a root: its certificate is its own. */
export function makeAuthority(name = "Test authority"): Authority {
  const key = makeKey("ec", "pkcs8");
  const usage = "basicConstraints = critical, CA:true\nkeyUsage = critical, keyCertSign, cRLSign";
  const cert = sign(key, name, usage, false);
  return { cert, issue: (request) => issue({ cert, key }, request) };
}

/** A certificate that only its own key vouches for, as a self-hosted server has it. */
export function makeSelfSigned(hosts: string[]): Certificate {
  const key = makeKey("ec", "pkcs8");
  const names = hosts.map((host) => `${isIP(host) ? "IP" : "DNS"}:${host}`);
  const usage = ["basicConstraints = critical, CA:true", `subjectAltName = ${names.join(", ")}`];
  return { cert: sign(key, hosts[0] ?? "nobody", usage.join("\n"), false), key };
}

function issue(authority: Certificate, request: Request): Certificate {
  const { hosts = [], client, expired = false, algorithm = "ec", keyFormat = "pkcs8" } = request;
  const key = makeKey(algorithm, keyFormat);
  const names = hosts.map((host) => `${isIP(host) ? "IP" : "DNS"}:${host}`);
  const usage = [
    "basicConstraints = critical, CA:false",
    "keyUsage = critical, digitalSignature",
    `extendedKeyUsage = ${client === undefined ? "serverAuth" : "clientAuth"}`,
    ...(names.length > 0 ? [`subjectAltName = ${names.join(", ")}`] : []),
  ];
  return { cert: sign(key, client ?? hosts[0] ?? "nobody", usage.join("\n"), expired, authority), key };
}

function makeKey(algorithm: "ec" | "rsa", format: "pkcs8" | "traditional"): string {
  const { privateKey } =
    algorithm === "ec"
      ? generateKeyPairSync("ec", { namedCurve: "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: 2048 });
  const traditional = algorithm === "ec" ? "sec1" : "pkcs1";
  return privateKey.export({ format: "pem", type: format === "pkcs8" ? "pkcs8" : traditional }).toString();
}

/** Certifies a key; by itself if no authority is given. `openssl ca` is the command that takes dates of the past. */
function sign(key: string, name: string, usage: string, expired: boolean, authority?: Certificate): string {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-agent-persist-"));
  const openssl = (...args: string[]) =>
    execFileSync("openssl", args, { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  const write = (file: string, text: string) => writeFileSync(join(directory, file), text, { mode: 0o600 });
  try {
    write("subject.key", key);
    write("index.txt", "");
    write("serial", `01${randomBytes(15).toString("hex")}\n`);
    write("configuration", configuration(usage));
    if (authority) {
      write("authority.crt", authority.cert);
      write("authority.key", authority.key);
    }
    const config = ["-config", "configuration"];
    openssl("req", "-new", ...config, "-key", "subject.key", "-subj", `/CN=${name}`, "-out", "request");
    const signer = authority ? ["-cert", "authority.crt", "-keyfile", "authority.key"] : ["-selfsign"];
    const keyfile = authority ? [] : ["-keyfile", "subject.key"];
    const dates = expired
      ? ["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"]
      : ["-startdate", "20200101000000Z", "-enddate", "20491231000000Z"];
    openssl("ca", "-batch", "-notext", ...config, ...signer, ...keyfile, ...dates, "-in", "request", "-out", "cert");
    return readFileSync(join(directory, "cert"), "utf8");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function configuration(usage: string): string {
  return `
[req]
distinguished_name = name
[name]
[ca]
default_ca = authority
[authority]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
x509_extensions = usage
[policy]
commonName = supplied
[usage]
${usage}
`;
}
