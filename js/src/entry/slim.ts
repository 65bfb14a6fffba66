/**
 * `polypeer/slim`: as `polypeer`, without a word of where the module is, for
 * bundles that bring it themselves: `createNode({ wasm })`.
 */

import { Core, initSync } from '../../generated/core.js'
import { createNodeOn, generateKeyOn, type Platform } from '../create.js'
import { LoadError } from '../errors.js'
import { FullNode } from '../full.js'
import { browserHost } from '../host/browser.js'
import type { FullNodeOptions, PeerNode, WasmSource } from '../types.js'

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
  wasm: () => {
    throw new LoadError('polypeer/slim brings no module: give it with createNode({ wasm })')
  },
  hostCiphers: false,
}

/** Makes a node of the module that `options.wasm` names. */
export function createNode(options: FullNodeOptions & { readonly wasm: WasmSource }): Promise<PeerNode> {
  return createNodeOn(platform, options)
}

/** Makes a new Ed25519 private key; a node must have been made before. */
export function generateKey(): Promise<Uint8Array> {
  return generateKeyOn(platform)
}
