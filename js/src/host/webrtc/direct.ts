/**
 * WebRTC direct: from a page to a server that has no name and no certificate that a
 * browser would trust. Its address says what its certificate is, so the page makes
 * up the server's answer itself.
 *
 * Version 2 leaves the own description as the browser made it and tells the server
 * its password in the name that it gives to the server; version 1 changes the own
 * description, which browsers are about to refuse, and is tried if 2 led nowhere.
 *
 * Source: libp2p specs, `webrtc/webrtc-direct.md` and #715.
 */

import { TimeoutError, TransportError, UnsupportedError } from '../../errors.js'
import { DataPipe } from './pipe.js'

/** How long version 2 has before version 1 is tried, in milliseconds. */
const FIRST_MS = 2_500
/** How long version 1 has, in milliseconds. */
const SECOND_MS = 10_000
const MAX_MESSAGE_BYTES = 16_384
/** The multihash of SHA-256: its code and its length. */
const SHA_256 = [0x12, 0x20]

/** What `/webrtc-direct` addresses say. */
export interface DirectAddress {
  readonly host: string
  readonly ip6: boolean
  readonly port: number
  /** The multihash of the server's certificate. */
  readonly certificate: Uint8Array
}

/** An open connection, not authenticated yet, and what its handshake is tied to. */
export interface DirectLink {
  readonly pipe: DataPipe
  /** The multihashes of both certificates. */
  readonly client: Uint8Array
  readonly server: Uint8Array
}

export const isDirect = (address: string): boolean =>
  /^\/ip[46]\/[^/]+\/udp\/\d+\/webrtc-direct/.test(address)

/**
 * Reads `/ip4/…/udp/…/webrtc-direct/certhash/…`, with `/p2p/…` or without.
 *
 * @throws {UnsupportedError} its certificate is missing or of a kind that is not known.
 */
export function directAddress(address: string): DirectAddress {
  const [family, host = '', , port, , ...rest] = address.split('/').slice(1)
  for (let at = 0; at + 1 < rest.length; at += 2) {
    if (rest[at] !== 'certhash') continue
    const certificate = multibase(rest[at + 1] ?? '')
    if (certificate?.length === 34 && SHA_256.every((byte, at) => certificate[at] === byte)) {
      return { host, ip6: family === 'ip6', port: Number(port), certificate }
    }
  }
  throw new UnsupportedError(`${address} has no certhash of SHA-256 in base64url`)
}

/** The bytes of base64url text with its prefix `u`. */
function multibase(text: string): Uint8Array | undefined {
  if (!/^u[\w-]+$/.test(text)) return undefined
  const plain = text.slice(1).replaceAll('-', '+').replaceAll('_', '/')
  return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0))
}

/** Opens a connection to `address`: by version 2, and if that leads nowhere by version 1. */
export async function dialDirect(
  address: string,
  signal: AbortSignal,
  create: () => RTCPeerConnection,
): Promise<DirectLink> {
  const target = directAddress(address)
  try {
    return await attempt(
      address,
      target,
      create(),
      2,
      AbortSignal.any([signal, AbortSignal.timeout(FIRST_MS)]),
    )
  } catch {
    signal.throwIfAborted()
    const limit = AbortSignal.any([signal, AbortSignal.timeout(SECOND_MS)])
    return await attempt(address, target, create(), 1, limit)
  }
}

async function attempt(
  address: string,
  target: DirectAddress,
  pc: RTCPeerConnection,
  version: 1 | 2,
  signal: AbortSignal,
): Promise<DirectLink> {
  const pipe = new DataPipe(pc, address, pc.createDataChannel('', { negotiated: true, id: 0 }))
  try {
    const { sdp = '' } = await pc.createOffer()
    const name = `libp2p+webrtc+v${version}/${version === 2 ? field(sdp, 'ice-pwd') : random()}`
    const own = version === 2 ? sdp : munged(sdp, name)
    const open = opened(pc, address, signal)
    // Whatever fails first is what is told.
    open.catch(() => {})
    await pc.setLocalDescription({ type: 'offer', sdp: own })
    await pc.setRemoteDescription({ type: 'answer', sdp: serverDescription(target, name) })
    await open
    pipe.watch()
    return { pipe, client: fingerprint(field(sdp, 'fingerprint')), server: target.certificate }
  } catch (error) {
    pipe.destroy()
    if (error instanceof TransportError || error instanceof TimeoutError) throw error
    throw new TransportError(`no WebRTC connection to ${address}`, { cause: error })
  }
}

function opened(pc: RTCPeerConnection, address: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new TimeoutError(`no answer from ${address}`))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    pc.onconnectionstatechange = () => {
      const { connectionState: state } = pc
      if (state !== 'connected' && state !== 'failed' && state !== 'closed') return
      signal.removeEventListener('abort', abort)
      if (state === 'connected') resolve()
      else reject(new TransportError(`no WebRTC connection to ${address}`))
    }
  })
}

/** The server's description, which it never sends. */
export function serverDescription({ host, ip6, port, certificate }: DirectAddress, name: string): string {
  const hex = Array.from(certificate.subarray(SHA_256.length), (byte) => byte.toString(16).padStart(2, '0'))
  const family = ip6 ? 'IP6' : 'IP4'
  return [
    'v=0',
    `o=- 0 0 IN ${family} ${host}`,
    's=-',
    't=0 0',
    'a=ice-lite',
    `m=application ${port} UDP/DTLS/SCTP webrtc-datachannel`,
    `c=IN ${family} ${host}`,
    'a=mid:0',
    'a=ice-options:ice2',
    `a=ice-ufrag:${name}`,
    `a=ice-pwd:${name}`,
    `a=fingerprint:sha-256 ${hex.join(':').toUpperCase()}`,
    'a=setup:passive',
    'a=sctp-port:5000',
    `a=max-message-size:${MAX_MESSAGE_BYTES}`,
    `a=candidate:1 1 UDP 2130706431 ${host} ${port} typ host`,
    'a=end-of-candidates',
    '',
  ].join('\r\n')
}

/** The first value of an attribute. */
function field(sdp: string, name: string): string {
  const value = new RegExp(`^a=${name}:(.*?)\\s*$`, 'm').exec(sdp)?.[1]
  if (value === undefined) throw new TransportError(`the browser's description has no ${name}`)
  return value
}

function munged(sdp: string, name: string): string {
  return sdp.replaceAll(/^(a=ice-(?:ufrag|pwd):).*$/gm, (_, start: string) => start + name)
}

/** The multihash of a fingerprint as descriptions have it. */
function fingerprint(text: string): Uint8Array {
  const [kind, hex = ''] = text.split(' ')
  const bytes = hex.split(':').map((byte) => Number.parseInt(byte, 16))
  if (kind?.toLowerCase() !== 'sha-256' || bytes.length !== 32) {
    throw new TransportError(`the browser's certificate has no SHA-256 fingerprint`)
  }
  return Uint8Array.from([...SHA_256, ...bytes])
}

/** 32 letters of a name that nobody else has. */
function random(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
