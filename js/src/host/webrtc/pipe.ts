/** The data channels of one peer connection as a link that carries records. */

import { TransportError } from '../../errors.js'
import type { Link, LinkEvents } from '../../host.js'
import { CLOSE, HANDSHAKE, heads, MESSAGE, OPEN, PING, REMOTE, RecordReader } from './records.js'

/** Bytes that may wait in all channels together before no more is given to them. */
const HIGH_WATER_BYTES = 2 * 1024 * 1024
/** A channel with less than this waiting asks for more. */
const LOW_WATER_BYTES = 512 * 1024
/** Many channels may each hold too little to say so: how often to ask them, in milliseconds. */
const POLL_MS = 10
/** What may come before the core knows the connection, in bytes. */
const MAX_EARLY_BYTES = 4 * 1024 * 1024
/** How long channels have to send what they hold when the connection is closed, in milliseconds. */
const FLUSH_MS = 3_000
/** A remote that was heard so short a time ago is there, in milliseconds: ICE asks it every 2.5 s. */
const HEARD_MS = 3_000
/** How often to ask whether a silent remote was heard, in milliseconds. */
const LISTEN_MS = 200
/**
 * Channels of ours that were closed and whose ids are in use until the remote has closed
 * them too, at which it takes its time when many do: further ones open after these. With
 * those that the core has open they are fewer than the 512 that each side has for sure.
 */
const MAX_CLOSING = 256
/** The label of the channel that makes an offer one for data; it carries nothing. */
export const INIT_LABEL = 'init'
/** How long its dialer has to close it, in milliseconds: both at once may not be good for it. */
const INIT_MS = 1_000

interface Channel {
  /** None of one that has still to open. */
  channel: RTCDataChannel | undefined
  /** What was sent before it opened. */
  waiting: Uint8Array<ArrayBuffer>[] | undefined
  waitingBytes: number
  /** The core closed it: it closes when it has sent what it holds. */
  ending: boolean
}

export class DataPipe implements Link {
  readonly remote: string
  readonly pc: RTCPeerConnection
  readonly #channels = new Map<number, Channel>()
  readonly #reader = new RecordReader()
  #remotes = 0
  #closing = 0
  /** Channels that open when fewer close. */
  #delayed: number[] = []
  #events: LinkEvents | undefined
  #early: [Uint8Array, Uint8Array][] = []
  #earlyBytes = 0
  #poll: ReturnType<typeof setTimeout> | undefined
  #heard = performance.now()
  #over = false
  #error: Error | undefined

  /** Takes over all channels of `pc` but those with the label {@link INIT_LABEL}; before any description. */
  constructor(pc: RTCPeerConnection, remote: string, handshake?: RTCDataChannel) {
    this.pc = pc
    this.remote = remote
    if (handshake !== undefined) this.#adopt(HANDSHAKE, handshake)
    pc.ondatachannel = ({ channel }) => {
      if (channel.label === INIT_LABEL) return endInit(channel)
      const number = REMOTE + this.#remotes++
      this.#adopt(number, channel)
      this.#tell(OPEN, number)
    }
  }

  /** From now on the end of the peer connection is the end of the link. */
  watch(): void {
    const { pc } = this
    const look = (): void => {
      const over = pc.sctp?.state === 'closed' || pc.sctp?.transport.state === 'closed'
      if (over || pc.connectionState === 'closed') this.#end()
      else if (pc.connectionState === 'failed') this.#end(new TransportError('the path to the peer is lost'))
    }
    pc.onconnectionstatechange = look
    if (pc.sctp !== null) {
      pc.sctp.onstatechange = look
      pc.sctp.transport.onstatechange = look
    }
    look()
  }

  start(events: LinkEvents): void {
    this.#events = events
    const early = this.#early
    this.#early = []
    for (const [bytes, head] of early) events.data(bytes, head)
    if (this.#over) events.end(this.#error)
  }

  get ready(): boolean {
    if (this.#buffered() < HIGH_WATER_BYTES) return true
    this.#poll ??= setTimeout(() => this.#drained(), POLL_MS)
    return false
  }

  #drained(): void {
    clearTimeout(this.#poll)
    this.#poll = undefined
    // Asking sets the next poll if there is no room yet.
    if (!this.#over && this.ready) this.#events?.drain()
  }

  #buffered(): number {
    let sum = 0
    for (const { channel, waitingBytes } of this.#channels.values()) {
      sum += (channel?.bufferedAmount ?? 0) + waitingBytes
    }
    return sum
  }

  send(bytes: Uint8Array): void {
    for (const { kind, channel, body } of this.#reader.read(bytes)) {
      if (this.#over) return
      if (kind === MESSAGE) this.#message(channel, body)
      else if (kind === OPEN) this.#open(channel)
      else if (kind === CLOSE) this.#close(channel)
      else if (kind === PING) void this.#pong(body.slice(), performance.now())
    }
  }

  #open(number: number): void {
    this.#channels.set(number, { channel: undefined, waiting: [], waitingBytes: 0, ending: false })
    this.#delayed.push(number)
    this.#openDelayed()
  }

  #openDelayed(): void {
    while (this.#closing < MAX_CLOSING && !this.#over) {
      const number = this.#delayed.shift()
      if (number === undefined) return
      const entry = this.#channels.get(number)
      if (entry === undefined) continue
      try {
        this.#adopt(number, this.pc.createDataChannel(''), entry)
      } catch {
        // The browser has no more of them.
        this.#channels.delete(number)
        this.#tell(CLOSE, number)
      }
    }
  }

  #message(number: number, body: Uint8Array): void {
    const entry = this.#channels.get(number)
    if (entry === undefined) return
    if (entry.waiting !== undefined) {
      entry.waiting.push(body.slice())
      entry.waitingBytes += body.length
    } else if (entry.channel !== undefined) {
      this.#send(entry.channel, body)
    }
  }

  #send(channel: RTCDataChannel, body: Uint8Array): void {
    // One that is closing has told, or is about to.
    if (channel.readyState !== 'open') return
    try {
      channel.send(body as Uint8Array<ArrayBuffer>)
    } catch (error) {
      // A message that does not go out leaves a hole in its stream.
      this.#end(new TransportError('a data channel took no more', { cause: error }))
    }
  }

  #close(number: number): void {
    const entry = this.#channels.get(number)
    if (entry === undefined) return
    entry.ending = true
    // Of one that has still to open nobody knows.
    if (entry.channel === undefined) this.#channels.delete(number)
    else this.#closeEmpty(number, entry, entry.channel)
  }

  /** Not every browser sends what a channel holds once it is closed. */
  #closeEmpty(number: number, entry: Channel, channel: RTCDataChannel): void {
    if (!entry.ending || entry.waiting !== undefined) return
    if (channel.bufferedAmount > 0) {
      channel.bufferedAmountLowThreshold = 0
      return
    }
    this.#channels.delete(number)
    channel.onmessage = null
    channel.onclose = null
    if (number < REMOTE) {
      this.#closing++
      channel.onclose = () => {
        this.#closing--
        this.#openDelayed()
      }
    }
    channel.close()
  }

  #adopt(number: number, channel: RTCDataChannel, known?: Channel): void {
    const entry = known ?? { channel, waiting: undefined, waitingBytes: 0, ending: false }
    entry.channel = channel
    if (channel.readyState === 'connecting') entry.waiting ??= []
    this.#channels.set(number, entry)
    channel.binaryType = 'arraybuffer'
    channel.bufferedAmountLowThreshold = LOW_WATER_BYTES
    channel.onopen = () => {
      const { waiting = [] } = entry
      entry.waiting = undefined
      entry.waitingBytes = 0
      for (const bytes of waiting) this.#send(channel, bytes)
      this.#closeEmpty(number, entry, channel)
    }
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      this.#heard = performance.now()
      if (data instanceof ArrayBuffer) this.#tell(MESSAGE, number, new Uint8Array(data))
    }
    channel.onbufferedamountlow = () => {
      if (entry.ending) this.#closeEmpty(number, entry, channel)
      this.#drained()
    }
    channel.onclose = () => {
      this.#channels.delete(number)
      if (!entry.ending) this.#tell(CLOSE, number)
      this.#drained()
    }
  }

  #tell(kind: number, channel: number, body = new Uint8Array(0)): void {
    if (this.#over) return
    for (const [head, start, end] of heads(kind, channel, body.length)) {
      const part = body.subarray(start, end)
      if (this.#events !== undefined) {
        // Not put together: a copy of each message is half of what a fast sender costs.
        this.#events.data(part, head)
        continue
      }
      this.#early.push([part, head])
      this.#earlyBytes += head.length + part.length
      if (this.#earlyBytes > MAX_EARLY_BYTES)
        this.#end(new TransportError('the remote sent too much too early'))
    }
  }

  /** Answers a ping once the remote was heard: a data channel cannot be asked, its path can. */
  async #pong(ping: Uint8Array, asked: number): Promise<void> {
    const before = await this.#path()
    let now = before
    const fresh = asked - this.#heard < HEARD_MS
    while (!fresh && now.heard === before.heard && this.#heard < asked) {
      await new Promise((resolve) => setTimeout(resolve, LISTEN_MS))
      if (this.#over) return
      now = await this.#path()
    }
    if (now.heard !== before.heard) this.#heard = performance.now()
    const body = new Uint8Array(ping.length + 4)
    body.set(ping)
    new DataView(body.buffer).setUint32(ping.length, Math.min(now.rtt * 1e6, 2 ** 32 - 1), true)
    this.#tell(PING, 0, body)
  }

  /** How often the remote was heard, and its round trip in seconds. */
  async #path(): Promise<{ heard: number; rtt: number }> {
    let [heard, rtt] = [0, 0]
    try {
      for (const report of (await this.pc.getStats()).values()) {
        if (report.type !== 'candidate-pair') continue
        const pair = report as RTCIceCandidatePairStats & { packetsReceived?: number }
        heard += (pair.responsesReceived ?? 0) + (pair.packetsReceived ?? 0)
        if (pair.nominated) rtt = pair.currentRoundTripTime ?? rtt
      }
    } catch {
      // A peer connection that is closed has no figures.
    }
    return { heard, rtt }
  }

  /**
   * A browser takes from the network as it likes. The windows that the core tells bound what
   * a Polypeer sends; a stream of another remote with a slow reader is reset by the core
   * when too much waits.
   */
  pause(): void {}

  resume(): void {}

  close(): void {
    const late = performance.now() + FLUSH_MS
    const wait = (): void => {
      if (this.#over || this.#buffered() === 0 || performance.now() > late) this.destroy()
      else setTimeout(wait, POLL_MS)
    }
    this.#events = undefined
    wait()
  }

  destroy(): void {
    this.#events = undefined
    this.#end()
  }

  #end(error?: Error): void {
    if (this.#over) return
    this.#over = true
    this.#error = error
    clearTimeout(this.#poll)
    const { pc } = this
    pc.ondatachannel = null
    pc.onconnectionstatechange = null
    if (pc.sctp !== null) {
      pc.sctp.onstatechange = null
      pc.sctp.transport.onstatechange = null
    }
    for (const { channel } of this.#channels.values()) {
      if (channel === undefined) continue
      channel.onmessage = null
      channel.onclose = null
      channel.onbufferedamountlow = null
    }
    this.#channels.clear()
    pc.close()
    const events = this.#events
    this.#events = undefined
    events?.end(error)
  }
}

/**
 * A dialer closes its channel of {@link INIT_LABEL}, and js-libp2p waits until that is done: Firefox
 * often does not answer one that closes when it has only just opened, so that it is closed from here.
 */
function endInit(channel: RTCDataChannel): void {
  setTimeout(() => channel.close(), INIT_MS)
}
