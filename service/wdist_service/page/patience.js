// A busy server answers 503 and says when to try again (Retry-After). What it refused so has not begun, so it is sent again.

const MOST_SECONDS = 60; // that one request waits in all

let waiting = 0;

function tell(change) {
  waiting += change;
  dispatchEvent(new CustomEvent("server-busy", { detail: { waiting } }));
}

/** Calls send() until its Response is not that of a busy server, or asks for more patience than is left. */
export async function patiently(send, signal) {
  for (let left = MOST_SECONDS; ; ) {
    const response = await send();
    const seconds = response.status === 503 ? Number(response.headers.get("Retry-After")) : 0;
    if (!(seconds > 0 && seconds <= left)) return response;
    left -= seconds;
    tell(+1);
    try {
      await pause(seconds, signal);
    } finally {
      tell(-1);
    }
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(new DOMException("stopped", "AbortError"))));
  });
}
