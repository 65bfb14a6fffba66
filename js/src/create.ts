/** `createNode`, the same on each platform but for the host and the module's place. */

import { Core } from './core.js'
import { InvalidArgumentError, KeyError } from './errors.js'
import type { Host } from './host.js'
import { load, RawCore } from './load.js'
import { NodeImpl } from './node.js'
import type { NodeOptions, PeerNode, WasmSource } from './types.js'

/** What an entry point brings. */
export interface Platform {
  readonly host: Host
  /** Where the module is, if the options do not say. */
  wasm(): WasmSource | Promise<WasmSource>
  /** Whether the module is to leave large frames to `ciphers.ts`. */
  readonly hostCiphers: boolean
}

const SEED_BYTES = 32

/** Makes a node on `platform`. */
export async function createNodeOn(platform: Platform, options: NodeOptions): Promise<PeerNode> {
  options.signal?.throwIfAborted()
  if (options.privateKey !== undefined && options.keyStore !== undefined) {
    throw new InvalidArgumentError('give privateKey or keyStore, not both')
  }
  const memory = await load(() => options.wasm ?? platform.wasm())
  const privateKey = options.privateKey?.slice() ?? (await keyFrom(options)) ?? newKey()
  options.signal?.throwIfAborted()
  const raw = RawCore.create(Date.now(), randomBytes(), privateKey, options.agent ?? '', platform.hostCiphers)
  if (raw === undefined)
    throw new KeyError('the private key cannot be read: it is to be in the protobuf encoding')
  const node = new NodeImpl(new Core(raw, memory), platform.host, privateKey)
  try {
    for (const address of options.listen ?? []) await node.listen(address)
    options.signal?.throwIfAborted()
  } catch (error) {
    await node.close()
    throw error
  }
  return node
}

/** Makes a new Ed25519 private key on `platform`. */
export async function generateKeyOn(platform: Platform): Promise<Uint8Array> {
  await load(platform.wasm)
  return newKey()
}

async function keyFrom({ keyStore }: NodeOptions): Promise<Uint8Array | undefined> {
  if (keyStore === undefined) return undefined
  return (await keyStore.load()) ?? keyStore.save(newKey())
}

function newKey(): Uint8Array {
  const key = RawCore.generate_key(randomBytes())
  if (key === undefined) throw new KeyError('no key could be made')
  return key
}

function randomBytes(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(SEED_BYTES))
}
