/** What `import 'polypeer'` is in Node. */

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Core, initSync } from '../../generated/node.js'
import { install } from '../ciphers.js'
import { createNodeOn, generateKeyOn, type Platform } from '../create.js'
import { LoadError } from '../errors.js'
import { nodeHost } from '../host/node.js'
import { nodeCiphers } from '../host/node-ciphers.js'
import { newCertificate } from '../host/webrtc/node-direct.js'
import { ServingNode } from '../serving/node.js'
import type { FullNodeOptions, PeerNode } from '../types.js'

export * from '../discovery/types.js'
export * from '../index.js'
export type * from '../ipns.js'
export { fileKeyStore } from '../keys/file.js'
export { fileRecordStore } from '../records/file.js'
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
export { filePeerStore } from '../store/file.js'
export { indexedDbPeerStore } from '../store/indexeddb.js'
export type * from '../store/types.js'

install(nodeCiphers)

/** What only the module of Node exports. */
const MARK = 'core_start_mdns'

const platform: Platform<Core, ServingNode, FullNodeOptions> = {
  host: nodeHost,
  bindings: {
    initSync(source) {
      if (!WebAssembly.Module.exports(source.module).some(({ name }) => name === MARK)) {
        throw new LoadError('that is a module of pages: that of Node is polypeer/node.wasm')
      }
      return initSync(source)
    },
    Core,
  },
  Node: ServingNode,
  prepare: ServingNode.prepare,
  wasm: () => readFile(new URL('../../generated/node_bg.wasm', import.meta.url)),
  hostCiphers: true,
}

export async function createNode(options: FullNodeOptions = {}): Promise<PeerNode> {
  const limits = { base: 'node', ...options.limits } as const
  return createNodeOn(platform, await withFile({ ...options, limits }))
}

export function generateKey(): Promise<Uint8Array> {
  return generateKeyOn(platform)
}

export function generateCertificate(): Promise<Uint8Array> {
  return newCertificate()
}

/** Node's `fetch` reads no files: a module that is one is read here. */
async function withFile(options: FullNodeOptions): Promise<FullNodeOptions> {
  const { wasm } = options
  if (!(typeof wasm === 'string' || wasm instanceof URL) || !String(wasm).startsWith('file:')) return options
  return { ...options, wasm: await readFile(fileURLToPath(wasm)) }
}
