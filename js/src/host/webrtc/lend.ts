/**
 * Peer connections that a page lends to a worker, which has none: what they have to
 * say goes over a `MessagePort`, bytes without being copied.
 */

import { InvalidArgumentError, TransportError } from '../../errors.js'
import type { Link, LinkEvents } from '../../host.js'
import { canConnect, PageRtc } from './peers.js'
import type { Direct, IceOptions, Rtc, RtcEvents } from './rtc.js'

/** Bytes on their way to the page, or waiting there, before a worker's link is not ready. */
const HIGH_WATER_BYTES = 1024 * 1024

/** To the page. */
type Ask =
  | { readonly do: 'order'; readonly id: number; readonly kind: number; readonly text: string }
  | { readonly do: 'direct'; readonly id: number; readonly address: string }
  | { readonly do: 'send'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly do: 'drop' | 'close' | 'destroy'; readonly id: number }
  | { readonly do: 'stop' }

/** From the page; `lock` is held for as long as it lives. */
type Tell =
  | { readonly say: 'lent'; readonly lock: string }
  | { readonly say: 'described' | 'found' | 'failed'; readonly id: number; readonly text: string }
  | { readonly say: 'connected'; readonly id: number; readonly remote: string }
  | {
      readonly say: 'direct'
      readonly id: number
      readonly remote: string
      readonly client: Uint8Array
      readonly server: Uint8Array
    }
  | {
      readonly say: 'data'
      readonly id: number
      readonly bytes: Uint8Array
      readonly head: Uint8Array | undefined
    }
  | { readonly say: 'took'; readonly id: number; readonly count: number }
  | { readonly say: 'end'; readonly id: number; readonly reason: string | undefined }
  | { readonly say: 'gone' }

/** What {@link lendWebRTC} sends to a worker, with the port. */
const LENT = 'polypeer:webrtc'

/**
 * Lends the peer connections of this page to a node in a worker, until the page ends
 * or the returned function is called. To a `Worker` goes a message with a port,
 * which {@link webRtcPort} finds in it; a `MessagePort` is used itself, and its other
 * end is for `createNode({ webrtc: port })`.
 *
 * @throws {InvalidArgumentError} this is no page, or one without WebRTC.
 * @example
 * ```ts
 * const worker = new Worker(new URL('./node.js', import.meta.url), { type: 'module' })
 * lendWebRTC(worker)
 * ```
 */
export function lendWebRTC(to: Worker | MessagePort, options: IceOptions = {}): () => void {
  if (!canConnect()) throw new InvalidArgumentError('there is no RTCPeerConnection here to be lent')
  if (to instanceof MessagePort) return lend(to, options)
  const { port1, port2 } = new MessageChannel()
  to.postMessage({ type: LENT }, [port2])
  return lend(port1, options)
}

/**
 * The port that {@link lendWebRTC} sent to this worker, if the message is that.
 *
 * @example
 * ```ts
 * self.onmessage = async (message) => {
 *   const webrtc = webRtcPort(message)
 *   if (webrtc !== undefined) start(await createNode({ webrtc }))
 * }
 * ```
 */
export function webRtcPort({ data, ports }: MessageEvent<unknown>): MessagePort | undefined {
  const lent = typeof data === 'object' && data !== null && 'type' in data && data.type === LENT
  return lent ? ports[0] : undefined
}

function lend(port: MessagePort, options: IceOptions): () => void {
  const rtc = new PageRtc(options)
  const links = new Map<number, Link>()
  const dials = new Map<number, AbortController>()
  /** What links have not taken yet, by their number. */
  const owed = new Map<number, number>()
  const tell = (message: Tell, bytes?: Uint8Array): void => {
    port.postMessage(message, bytes === undefined ? [] : [bytes.buffer as ArrayBuffer])
  }
  const took = (id: number): void => {
    const count = owed.get(id) ?? 0
    if (count === 0 || links.get(id)?.ready === false) return
    owed.delete(id)
    tell({ say: 'took', id, count })
  }
  const start = (id: number, link: Link): void => {
    links.set(id, link)
    link.start({
      data: (part, head) => {
        // Where it is part of a message the rest is still needed here.
        const bytes = part.length === part.buffer.byteLength ? part : part.slice()
        tell({ say: 'data', id, bytes, head }, bytes)
      },
      drain: () => took(id),
      end: (error) => {
        links.delete(id)
        owed.delete(id)
        tell({ say: 'end', id, reason: error?.message })
      },
    })
  }
  const stop = (): void => {
    for (const dial of dials.values()) dial.abort()
    for (const link of links.values()) link.destroy()
    links.clear()
    rtc.stop()
    port.close()
  }
  rtc.start({
    described: (id, text) => tell({ say: 'described', id, text }),
    found: (id, text) => tell({ say: 'found', id, text }),
    failed: (id, text) => tell({ say: 'failed', id, text }),
    connected: (id, link) => {
      tell({ say: 'connected', id, remote: link.remote })
      start(id, link)
    },
  })
  const direct = async (id: number, address: string): Promise<void> => {
    const abort = new AbortController()
    dials.set(id, abort)
    try {
      const { link, client, server } = await rtc.direct(address, abort.signal)
      if (!dials.delete(id)) return link.destroy()
      tell({ say: 'direct', id, remote: link.remote, client, server })
      start(id, link)
    } catch (error) {
      if (dials.delete(id))
        tell({ say: 'failed', id, text: error instanceof Error ? error.message : String(error) })
    }
  }
  port.onmessage = ({ data: ask }: MessageEvent<Ask>) => {
    switch (ask.do) {
      case 'order':
        rtc.order(ask.id, ask.kind, ask.text)
        break
      case 'direct':
        void direct(ask.id, ask.address)
        break
      case 'send':
        links.get(ask.id)?.send(ask.bytes)
        owed.set(ask.id, (owed.get(ask.id) ?? 0) + ask.bytes.length)
        took(ask.id)
        break
      case 'drop':
        dials.get(ask.id)?.abort()
        dials.delete(ask.id)
        rtc.drop(ask.id)
        break
      case 'close':
        links.get(ask.id)?.close()
        links.delete(ask.id)
        break
      case 'destroy':
        links.get(ask.id)?.destroy()
        links.delete(ask.id)
        break
      case 'stop':
        stop()
    }
  }
  // A page that crashes says nothing, but its locks are given back.
  const lock = `${LENT}:${crypto.randomUUID()}`
  void navigator.locks.request(lock, () => {
    tell({ say: 'lent', lock })
    return new Promise<void>((resolve) => addEventListener('pagehide', () => resolve(), { once: true }))
  })
  return () => {
    tell({ say: 'gone' })
    stop()
  }
}

/** The peer connections that pages lend to this worker: those of the page that came first. */
export class BorrowedRtc implements Rtc {
  #lenders: MessagePort[] = []
  #events: RtcEvents | undefined
  readonly #links = new Map<number, BorrowedLink>()
  readonly #dials = new Map<number, { resolve: (direct: Direct) => void; reject: (error: Error) => void }>()
  readonly #waiting = new Set<number>()
  #dialNumber = 0

  constructor(port: MessagePort) {
    this.borrow(port)
  }

  /** Takes another lender, which steps in when those before it are gone. */
  borrow(port: MessagePort): void {
    this.#lenders.push(port)
    port.onmessage = ({ data }: MessageEvent<Tell>) => this.#hear(port, data)
  }

  start(events: RtcEvents): void {
    this.#events = events
  }

  order(id: number, kind: number, text: string): void {
    if (this.#lenders.length === 0) {
      queueMicrotask(() => this.#events?.failed(id, 'no page lends its WebRTC'))
      return
    }
    this.#waiting.add(id)
    this.#ask({ do: 'order', id, kind, text })
  }

  drop(id: number): void {
    this.#waiting.delete(id)
    this.#ask({ do: 'drop', id })
  }

  direct(address: string, signal: AbortSignal): Promise<Direct> {
    // Below zero, where the core's numbers are not.
    const id = --this.#dialNumber
    return new Promise((resolve, reject) => {
      if (this.#lenders.length === 0) return reject(new TransportError('no page lends its WebRTC'))
      this.#dials.set(id, { resolve, reject })
      signal.addEventListener('abort', () => {
        if (!this.#dials.delete(id)) return
        this.#ask({ do: 'drop', id })
        reject(signal.reason)
      })
      this.#ask({ do: 'direct', id, address })
    })
  }

  stop(): void {
    this.#events = undefined
    for (const port of this.#lenders) {
      port.postMessage({ do: 'stop' } satisfies Ask)
      port.close()
    }
    this.#lenders = []
  }

  #ask(ask: Ask): void {
    this.#lenders[0]?.postMessage(ask)
  }

  #hear(port: MessagePort, message: Tell): void {
    if (message.say === 'lent') {
      navigator.locks.request(message.lock, () => this.#gone(port)).catch(() => {})
      return
    }
    if (message.say === 'gone') {
      this.#gone(port)
      return
    }
    if (port !== this.#lenders[0]) return
    const { id } = message
    switch (message.say) {
      case 'described':
        this.#events?.described(id, message.text)
        break
      case 'found':
        this.#events?.found(id, message.text)
        break
      case 'failed':
        this.#failed(id, message.text)
        break
      case 'connected':
        this.#waiting.delete(id)
        this.#events?.connected(id, this.#link(port, id, message.remote))
        break
      case 'direct': {
        const { client, server, remote } = message
        this.#dials.get(id)?.resolve({ link: this.#link(port, id, remote), client, server })
        this.#dials.delete(id)
        break
      }
      case 'data':
        this.#links.get(id)?.onData(message.bytes, message.head)
        break
      case 'took':
        this.#links.get(id)?.onTook(message.count)
        break
      case 'end': {
        const { reason } = message
        this.#links.get(id)?.onEnd(reason === undefined ? undefined : new TransportError(reason))
      }
    }
  }

  #failed(id: number, reason: string): void {
    const dial = this.#dials.get(id)
    this.#dials.delete(id)
    if (dial !== undefined) dial.reject(new TransportError(reason))
    else if (this.#waiting.delete(id)) this.#events?.failed(id, reason)
  }

  #link(port: MessagePort, id: number, remote: string): BorrowedLink {
    const link = new BorrowedLink(remote, {
      ask: (what, bytes) => {
        if (bytes === undefined) port.postMessage({ do: what, id })
        else port.postMessage({ do: what, id, bytes }, [bytes.buffer])
      },
      forget: () => this.#links.delete(id),
    })
    this.#links.set(id, link)
    return link
  }

  /** A page is gone, and with it all that it had lent. */
  #gone(port: MessagePort): void {
    const first = this.#lenders[0] === port
    this.#lenders = this.#lenders.filter((other) => other !== port)
    port.close()
    if (!first) return
    const lost = 'the page that lent its WebRTC is gone'
    for (const link of [...this.#links.values()]) link.onEnd(new TransportError(lost))
    for (const id of [...this.#dials.keys(), ...this.#waiting]) this.#failed(id, lost)
  }
}

interface Owner {
  ask(what: 'send' | 'close' | 'destroy', bytes?: Uint8Array<ArrayBuffer>): void
  forget(): void
}

/** A link whose channels are in another page. */
class BorrowedLink implements Link {
  readonly remote: string
  readonly #owner: Owner
  #events: LinkEvents | undefined
  #early: [Uint8Array, Uint8Array | undefined][] = []
  #ended: { readonly error: Error | undefined } | undefined
  /** Bytes that the page has not taken. */
  #onTheWay = 0

  constructor(remote: string, owner: Owner) {
    this.remote = remote
    this.#owner = owner
  }

  get ready(): boolean {
    return this.#onTheWay < HIGH_WATER_BYTES
  }

  start(events: LinkEvents): void {
    this.#events = events
    const early = this.#early
    this.#early = []
    for (const [bytes, head] of early) events.data(bytes, head)
    if (this.#ended !== undefined) this.onEnd(this.#ended.error)
  }

  send(bytes: Uint8Array): void {
    this.#onTheWay += bytes.length
    this.#owner.ask('send', bytes.slice())
  }

  /** What comes is bounded by the windows that the core tells. */
  pause(): void {}

  resume(): void {}

  close(): void {
    this.#leave('close')
  }

  destroy(): void {
    this.#leave('destroy')
  }

  #leave(how: 'close' | 'destroy'): void {
    this.#events = undefined
    this.#owner.ask(how)
    this.#owner.forget()
  }

  onData(bytes: Uint8Array, head: Uint8Array | undefined): void {
    if (this.#events === undefined) this.#early.push([bytes, head])
    else this.#events.data(bytes, head)
  }

  onTook(count: number): void {
    const full = !this.ready
    this.#onTheWay -= count
    if (full && this.ready) this.#events?.drain()
  }

  onEnd(error: Error | undefined): void {
    this.#ended = { error }
    this.#owner.forget()
    const events = this.#events
    this.#events = undefined
    events?.end(error)
  }
}
