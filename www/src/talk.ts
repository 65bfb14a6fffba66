/** What is said from page to page: each line is a stream of its own, closed when it was heard. */

import type { Connection, PeerId, PeerNode, Stream } from 'polypeer'
import { encodeFrame, FrameError, FrameReader } from './frames'

export const TALK = '/polypeer/talk/1.0.0'

/** How long a line may be under way, in milliseconds. */
const SAY_MS = 10_000
/** Lines of one peer that are taken at once, and then one every {@link REFILL_MS}; more are refused. */
const BURST = 20
const REFILL_MS = 200

/** A line that another page said. */
export interface Line {
  readonly from: PeerId
  readonly text: string
  /** When it came, or was written here, in milliseconds of Unix time. */
  readonly at: number
}

/** Takes what others say. */
export function listen(node: PeerNode, heard: (line: Line) => void): void {
  const paces = new Map<PeerId, Pace>()
  node.addEventListener('peer:disconnect', ({ detail }) => paces.delete(detail))
  const take = async (stream: Stream): Promise<void> => {
    const from = stream.connection.peer
    const pace = paces.get(from) ?? new Pace()
    paces.set(from, pace)
    if (!pace.step()) throw new FrameError('too many lines at once')
    const text = await readText(stream)
    heard({ from, text, at: Date.now() })
    await stream.close()
  }
  // A line is little: a relay's allowance is enough for it.
  node.handle(TALK, take, { limited: true })
}

/**
 * Says something to a peer; resolves when it was heard.
 *
 * @throws {Error} it may not have been.
 */
export async function say(connection: Connection, text: string): Promise<void> {
  const signal = AbortSignal.timeout(SAY_MS)
  const stream = await connection.openStream(TALK, { signal, limited: true })
  await stream.write(encodeFrame(new TextEncoder().encode(JSON.stringify({ text }))), { signal })
  await stream.closeWrite()
  // The other closes when it has heard.
  while ((await stream.read({ signal })) !== undefined);
}

async function readText(stream: Stream): Promise<string> {
  const frames = new FrameReader()
  for (;;) {
    const bytes = await stream.read({ signal: AbortSignal.timeout(SAY_MS) })
    if (bytes === undefined) throw new FrameError('the line has no end')
    for (const frame of frames.read(bytes)) {
      const said: unknown = JSON.parse(new TextDecoder().decode(frame))
      if (typeof said === 'object' && said !== null && 'text' in said && typeof said.text === 'string')
        return said.text
      throw new FrameError('not a line')
    }
  }
}

/** A bucket of {@link BURST} tokens, filled by one every {@link REFILL_MS}. */
class Pace {
  #tokens = BURST
  #filled = Date.now()

  step(): boolean {
    const more = Math.floor((Date.now() - this.#filled) / REFILL_MS)
    this.#tokens = Math.min(BURST, this.#tokens + more)
    this.#filled += more * REFILL_MS
    if (this.#tokens === 0) return false
    this.#tokens--
    return true
  }
}
