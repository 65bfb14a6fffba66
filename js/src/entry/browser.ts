/** What `import 'polypeer'` is in pages, workers and bundles for them. */

import { Core, initSync } from '../../generated/core.js'
import { createNodeOn, generateKeyOn, type Platform } from '../create.js'
import { UnsupportedError } from '../errors.js'
import { FullNode } from '../full.js'
import { browserHost } from '../host/browser.js'
import type { RecordLimits, RecordStore } from '../records/types.js'
import type { PeerStorage } from '../store/types.js'
import type { FullNodeOptions, KeyStore, PeerNode } from '../types.js'

export * from '../discovery/types.js'
export { lendWebRTC, webRtcPort } from '../host/webrtc/lend.js'
export * from '../index.js'
export type * from '../ipns.js'
export { indexedDbRecordStore } from '../records/indexeddb.js'
export { memoryRecordStore } from '../records/memory.js'
export { type RecordLimits, type RecordStore, RecordStoreError, type StoredRecord } from '../records/types.js'
export {
  type DelegatedRouting,
  type DelegatedRoutingOptions,
  delegatedRouting,
} from '../routing/delegated.js'
export * from '../routing/types.js'
export type * from '../service/types.js'
export { indexedDbPeerStore } from '../store/indexeddb.js'
export type * from '../store/types.js'

const platform: Platform<Core, FullNode, FullNodeOptions> = {
  host: browserHost,
  bindings: { initSync, Core },
  Node: FullNode,
  prepare: FullNode.prepare,
  wasm: () => new URL('../../generated/core_bg.wasm', import.meta.url),
  hostCiphers: false,
}

/**
 * Makes a node: loads the WebAssembly module, takes or makes a key, and listens
 * where it is told to.
 *
 * @throws {LoadError} the module could not be loaded.
 * @throws {KeyError} the private key cannot be read.
 * @throws {ListenError} an address of `options.listen` cannot be had.
 * @example
 * ```ts
 * await using node = await createNode({ keyStore: indexedDbKeyStore('my-app') })
 * console.log(node.peerId)
 * ```
 */
export function createNode(options: FullNodeOptions = {}): Promise<PeerNode> {
  return createNodeOn(platform, options)
}

/**
 * Makes a new Ed25519 private key in libp2p's protobuf encoding, for
 * `createNode({ privateKey })`.
 *
 * @example
 * ```ts
 * const privateKey = await generateKey()
 * ```
 */
export function generateKey(): Promise<Uint8Array> {
  return generateKeyOn(platform)
}

/**
 * Makes a certificate with its key, in PEM, for a node that listens on WebRTC direct
 * with `createNode({ webrtc: { certificate } })`: in Node only.
 *
 * @throws {UnsupportedError} always, in a page or worker: nothing listens there.
 */
export function generateCertificate(): Promise<Uint8Array> {
  throw new UnsupportedError('a page cannot listen on WebRTC direct')
}

/**
 * Keeps the private key in a file: in Node only.
 *
 * @throws {UnsupportedError} always, in a page or worker: use `indexedDbKeyStore`.
 */
export function fileKeyStore(_path: string): KeyStore {
  throw new UnsupportedError('a page has no files: use indexedDbKeyStore')
}

/**
 * Keeps what is known of peers in a file: in Node only.
 *
 * @throws {UnsupportedError} always, in a page or worker: use `indexedDbPeerStore`.
 */
export function filePeerStore(_path: string): PeerStorage {
  throw new UnsupportedError('a page has no files: use indexedDbPeerStore')
}

/**
 * Keeps what a node keeps for others in a file: in Node only.
 *
 * @throws {UnsupportedError} always, in a page or worker: use `indexedDbRecordStore`.
 */
export function fileRecordStore(_path: string, _limits?: RecordLimits): RecordStore {
  throw new UnsupportedError('a page has no files: use indexedDbRecordStore')
}
