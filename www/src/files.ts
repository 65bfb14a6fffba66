/** Files from page to page: an offer, an answer, then the bytes, only on direct connections. */

import type { Connection, PeerId, PeerNode, Stream } from 'polypeer'
import { encodeFrame, FrameError, FrameReader } from './frames'

export const FILE = '/polypeer/file/1.0.0'

/** The largest file that is taken, in bytes: it is held in memory until it is saved. */
export const MAX_FILE_BYTES = 1024 * 1024 * 1024
/** Offers of one peer that wait for an answer. */
const MAX_OFFERS = 3
/** How long an offer waits for its answer, in milliseconds. */
const ANSWER_MS = 120_000
/** How long the other may be silent while bytes are under way, in milliseconds. */
const SILENCE_MS = 30_000
/** Characters of a file's name that are shown; its end, where the type stands. */
const MAX_NAME = 120
/** Bytes read of the file at once. */
const PIECE_BYTES = 256 * 1024

/** What is offered. */
export interface Offer {
  readonly from: PeerId
  readonly name: string
  /** In bytes. */
  readonly size: number
}

/** A file under way, or what became of it. */
export type Progress =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'moving'; readonly bytes: number }
  | { readonly kind: 'done'; readonly file?: Blob }
  | { readonly kind: 'declined' }
  | { readonly kind: 'failed'; readonly error: unknown }

/** Asks the person about an offer, and shows what becomes of it; `stop` gives it up. */
export type Ask = (
  offer: Offer,
  stop: AbortController,
) => { readonly answer: Promise<boolean>; show(progress: Progress): void }

/** Takes files that others offer. */
export function receiveFiles(node: PeerNode, ask: Ask): void {
  const waiting = new Map<PeerId, number>()
  node.handle(FILE, async (stream) => {
    const from = stream.connection.peer
    const offers = waiting.get(from) ?? 0
    if (offers >= MAX_OFFERS) throw new FrameError('too many offers at once')
    waiting.set(from, offers + 1)
    try {
      await receive(stream, ask)
    } finally {
      if (offers === 0) waiting.delete(from)
      else waiting.set(from, offers)
    }
  })
}

async function receive(stream: Stream, ask: Ask): Promise<void> {
  const stop = stopper(stream)
  const offer = parseOffer(stream.connection.peer, await message(stream))
  const asked = ask(offer, stop)
  try {
    // The other says nothing until it is answered, but it may go.
    const first = stream.read()
    const taken = await Promise.race([
      asked.answer,
      first.then(() => Promise.reject(new FrameError('it went away'))),
    ])
    await stream.write(encoded({ taken }))
    if (taken)
      asked.show({
        kind: 'done',
        file: await wholeFile(stream, first, offer.size, (progress) => asked.show(progress)),
      })
    else asked.show({ kind: 'declined' })
    await stream.close()
  } catch (error) {
    asked.show({ kind: 'failed', error: stop.signal.aborted ? stop.signal.reason : error })
    stream.abort(error)
  }
}

async function wholeFile(
  stream: Stream,
  first: Promise<Uint8Array | undefined>,
  size: number,
  show: (progress: Progress) => void,
): Promise<Blob> {
  const parts: Blob[] = []
  let bytes = 0
  for (let piece = await first; piece !== undefined; piece = await next(stream)) {
    bytes += piece.length
    if (bytes > size) throw new FrameError('more came than was offered')
    parts.push(new Blob([piece as Uint8Array<ArrayBuffer>]))
    show({ kind: 'moving', bytes })
  }
  if (bytes < size) throw new FrameError('less came than was offered')
  return new Blob(parts)
}

/** Offers `file` to a peer and sends it if it is taken. */
export async function sendFile(
  connection: Connection,
  file: File,
  stop: AbortController,
  show: (progress: Progress) => void,
): Promise<void> {
  let stream: Stream | undefined
  try {
    show({ kind: 'waiting' })
    stream = await connection.openStream(FILE, { signal: stop.signal })
    stopper(stream, stop)
    await stream.write(encoded({ name: file.name, size: file.size }))
    const answer = await message(stream)
    if (!(typeof answer === 'object' && answer !== null && 'taken' in answer && answer.taken === true)) {
      await stream.close()
      show({ kind: 'declined' })
      return
    }
    for (let at = 0; at < file.size; at += PIECE_BYTES) {
      const piece = new Uint8Array(await file.slice(at, at + PIECE_BYTES).arrayBuffer())
      await stream.write(piece, { signal: AbortSignal.timeout(SILENCE_MS) })
      show({ kind: 'moving', bytes: at + piece.length })
    }
    await stream.closeWrite()
    // The other closes when it has all.
    while ((await next(stream)) !== undefined);
    show({ kind: 'done' })
  } catch (error) {
    show({ kind: 'failed', error: stop.signal.aborted ? stop.signal.reason : error })
    stream?.abort(error)
  }
}

/** Gives the stream up when `stop` is aborted. */
function stopper(stream: Stream, stop = new AbortController()): AbortController {
  stop.signal.addEventListener('abort', () => stream.abort(stop.signal.reason))
  return stop
}

/** The one message that comes on a stream before anything else. */
async function message(stream: Stream): Promise<unknown> {
  const frames = new FrameReader()
  const signal = AbortSignal.timeout(ANSWER_MS)
  for (
    let bytes = await stream.read({ signal });
    bytes !== undefined;
    bytes = await stream.read({ signal })
  ) {
    for (const frame of frames.read(bytes)) return JSON.parse(new TextDecoder().decode(frame))
  }
  throw new FrameError('it ended before it began')
}

function next(stream: Stream): Promise<Uint8Array | undefined> {
  return stream.read({ signal: AbortSignal.timeout(SILENCE_MS) })
}

function encoded(message: unknown): Uint8Array {
  return encodeFrame(new TextEncoder().encode(JSON.stringify(message)))
}

function parseOffer(from: PeerId, said: unknown): Offer {
  if (typeof said !== 'object' || said === null) throw new FrameError('not an offer')
  const { name, size } = said as Record<string, unknown>
  if (typeof name !== 'string' || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
    throw new FrameError('not an offer')
  if (size > MAX_FILE_BYTES) throw new FrameError(`over ${MAX_FILE_BYTES} bytes`)
  // Shown, and proposed as a file's name: without folders, and not endless.
  const bare = name.replace(/[\p{Cc}\p{Cs}/\\:]/gu, '_').slice(-MAX_NAME)
  return { from, name: bare === '' ? 'file' : bare, size }
}
