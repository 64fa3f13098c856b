/** Prompts a session and waits until all of the mock agent's answer is stored. `npm start` and the tests use it. */
import type { Session, SessionEvent } from "sandbox-agent";

/**
 * Resolves to the events of one prompt, from the prompt itself to its response, once all of them are stored.
 *
 * `session.prompt` resolves when the response is there, but then the SDK may still be storing events, and
 * `sdk.dispose()` does not wait for that. The SDK tells a listener of an event once that is stored, so we listen.
 */
export async function promptUntilStored(session: Session, text: string): Promise<SessionEvent[]> {
  const events: SessionEvent[] = [];
  let heard = () => {};
  const stop = session.onEvent((event) => {
    events.push(event);
    heard();
  });
  try {
    const response = await session.prompt([{ type: "text", text }]);
    // The mock agent tells how many updates it sent. They come on another way than the response, which may be first.
    const updates = Number(response._meta?.updates);
    while (events.filter(isUpdate).length < updates || !events.some(isPromptResponse)) {
      await new Promise<void>((resolve) => (heard = resolve));
    }
    return events;
  } finally {
    stop();
  }
}

/** The text that the agent said in these events, update by update. */
export function textsOf(events: SessionEvent[]): string[] {
  return events.filter(isUpdate).flatMap((event) => {
    const text = (event.payload as any).params.update.content?.text;
    return text === undefined ? [] : [text];
  });
}

function isUpdate(event: SessionEvent): boolean {
  return (event.payload as any).method === "session/update";
}

function isPromptResponse(event: SessionEvent): boolean {
  return (event.payload as any).result?.stopReason !== undefined;
}
