/** The peer connections of this page. */

import { dialDirect } from './direct.js'
import { DataPipe, INIT_LABEL } from './pipe.js'
import {
  ACCEPT,
  ANSWER,
  ANSWER_AGAIN,
  CANDIDATE,
  type Direct,
  type IceOptions,
  OFFER,
  OFFER_AGAIN,
  type Rtc,
  type RtcEvents,
} from './rtc.js'

const STUN = ['stun:stun.l.google.com:19302', 'stun:stun.cloudflare.com:3478']

interface Peer {
  readonly pc: RTCPeerConnection
  readonly pipe: DataPipe
}

/** Whether this page can make peer connections: workers cannot. */
export const canConnect = (): boolean => typeof RTCPeerConnection !== 'undefined'

export class PageRtc implements Rtc {
  readonly #configuration: RTCConfiguration
  /** Those that are not connected yet. */
  readonly #peers = new Map<number, Peer>()
  #events: RtcEvents | undefined

  constructor({ iceServers }: IceOptions = {}) {
    const servers = iceServers ?? [{ urls: STUN }]
    this.#configuration = {
      iceServers: servers.map((server) => ({
        ...server,
        urls: typeof server.urls === 'string' ? server.urls : [...server.urls],
      })),
    }
  }

  start(events: RtcEvents): void {
    this.#events = events
  }

  order(id: number, kind: number, text: string): void {
    const peer = this.#peers.get(id)
    switch (kind) {
      case OFFER:
        this.drop(id)
        this.#attempt(id, async (made) => {
          // Without a channel an offer is not one for data.
          const init = made.pc.createDataChannel(INIT_LABEL)
          init.onopen = () => init.close()
          await this.#offer(id, made)
        })
        break
      case ANSWER:
        this.#attempt(id, (made) => this.#answer(id, made, text))
        break
      case OFFER_AGAIN:
        this.#again(id, (peer) => this.#offer(id, peer, { iceRestart: true }))
        break
      case ANSWER_AGAIN:
        this.#again(id, (peer) => this.#answer(id, peer, text))
        break
      case ACCEPT:
        if (peer !== undefined)
          void this.#try(id, peer, peer.pc.setRemoteDescription({ type: 'answer', sdp: text }))
        break
      case CANDIDATE:
        // What cannot be read, or is of no use, is one candidate less.
        if (peer !== undefined) addCandidate(peer.pc, text).catch(() => {})
    }
  }

  drop(id: number): void {
    const peer = this.#peers.get(id)
    this.#peers.delete(id)
    peer?.pipe.destroy()
  }

  async direct(address: string, signal: AbortSignal): Promise<Direct> {
    const { pipe, client, server } = await dialDirect(address, signal, () => this.#create())
    return { link: pipe, client, server }
  }

  stop(): void {
    for (const id of [...this.#peers.keys()]) this.drop(id)
    this.#events = undefined
  }

  #create(): RTCPeerConnection {
    return new RTCPeerConnection(this.#configuration)
  }

  /** All handlers are there before any description is. */
  #attempt(id: number, act: (peer: Peer) => Promise<void>): void {
    let pc: RTCPeerConnection
    try {
      pc = this.#create()
    } catch (error) {
      // The browser has no more of them.
      this.#never(id, String(error))
      return
    }
    const peer = { pc, pipe: new DataPipe(pc, '') }
    this.#peers.set(id, peer)
    pc.onicecandidate = ({ candidate }) => {
      if (this.#peers.get(id) === peer) this.#events?.found(id, JSON.stringify(candidate?.toJSON() ?? null))
    }
    pc.onconnectionstatechange = () => this.#changed(id, peer)
    void this.#try(id, peer, act(peer))
  }

  #again(id: number, act: (peer: Peer) => Promise<void>): void {
    const peer = this.#peers.get(id)
    // Another page had lent it, which is gone, or it is Firefox's, closed since ICE failed.
    if (peer === undefined || peer.pc.sctp?.state === 'closed')
      this.#never(id, 'the peer connection cannot be restarted')
    else void this.#try(id, peer, act(peer))
  }

  async #try(id: number, peer: Peer, act: Promise<unknown>): Promise<void> {
    try {
      await act
    } catch (error) {
      this.#failed(id, peer, error instanceof Error ? error.message : String(error))
    }
  }

  async #offer(id: number, peer: Peer, options?: RTCOfferOptions): Promise<void> {
    await peer.pc.setLocalDescription(await peer.pc.createOffer(options))
    this.#described(id, peer)
  }

  async #answer(id: number, peer: Peer, offer: string): Promise<void> {
    await peer.pc.setRemoteDescription({ type: 'offer', sdp: offer })
    await peer.pc.setLocalDescription(await peer.pc.createAnswer())
    this.#described(id, peer)
  }

  #described(id: number, peer: Peer): void {
    const { localDescription } = peer.pc
    if (this.#peers.get(id) === peer && localDescription !== null)
      this.#events?.described(id, localDescription.sdp)
  }

  #changed(id: number, peer: Peer): void {
    const { connectionState: state } = peer.pc
    if (this.#peers.get(id) !== peer) return
    if (state === 'failed' || state === 'closed') {
      this.#failed(id, peer, 'no pair of candidates worked')
    } else if (state === 'connected') {
      this.#peers.delete(id)
      peer.pc.onicecandidate = null
      peer.pipe.watch()
      this.#events?.connected(id, peer.pipe)
    }
  }

  /** The core is told later: it is giving its orders. */
  #never(id: number, reason: string): void {
    queueMicrotask(() => this.#events?.failed(id, reason))
  }

  #failed(id: number, peer: Peer, reason: string): void {
    if (this.#peers.get(id) === peer) this.#events?.failed(id, reason)
  }
}

async function addCandidate(pc: RTCPeerConnection, text: string): Promise<void> {
  const candidate = JSON.parse(text) as RTCIceCandidateInit | '' | null
  await pc.addIceCandidate(candidate === null || candidate === '' ? undefined : candidate)
}
