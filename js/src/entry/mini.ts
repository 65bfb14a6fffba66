/**
 * `polypeer/mini`: the smallest peer of a page, with WebSocket, Noise, Yamux,
 * identify and ping, and a module of its own that holds no more than these.
 */

import { Core, initSync } from '../../generated/mini.js'
import type { RawCore } from '../core.js'
import { createNodeOn, generateKeyOn, type Platform } from '../create.js'
import { browserHost } from '../host/browser.js'
import { NodeImpl } from '../node.js'
import type { MiniNode, NodeOptions } from '../types.js'

export * from '../index.js'

const platform: Platform<RawCore, NodeImpl> = {
  host: browserHost,
  bindings: { initSync, Core },
  Node: NodeImpl,
  wasm: () => new URL('../../generated/mini_bg.wasm', import.meta.url),
  hostCiphers: false,
}

/** Makes a node as `createNode` of `polypeer` does, without the parts that make a network. */
export function createNode(options: NodeOptions = {}): Promise<MiniNode> {
  return createNodeOn(platform, options)
}

/** Makes a new Ed25519 private key in libp2p's protobuf encoding. */
export function generateKey(): Promise<Uint8Array> {
  return generateKeyOn(platform)
}
