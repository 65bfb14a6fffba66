/** `createNode`, the same on each platform but for the host and the module's place. */

import { Core, type RawCore } from './core.js'
import { InvalidArgumentError, KeyError } from './errors.js'
import type { Host } from './host.js'
import { type Bindings, load } from './load.js'
import type { NodeImpl } from './node.js'
import type { NodeOptions, WasmSource } from './types.js'

/** What an entry point brings. */
export interface Platform<
  Raw extends RawCore,
  Node extends NodeImpl,
  Options extends NodeOptions = NodeOptions,
> {
  readonly host: Host
  readonly bindings: Bindings<Raw>
  /** The kind of node that is made. */
  readonly Node: new (
    core: Core<Raw>,
    host: Host,
    privateKey: Uint8Array,
  ) => Node
  /** Where the module is, if the options do not say. */
  wasm(): WasmSource | Promise<WasmSource>
  /** What a kind of node does with its own options before it listens. */
  prepare?(node: Node, options: Options): Promise<void>
  /** Whether the module is to leave large frames to `ciphers.ts`. */
  readonly hostCiphers: boolean
}

const SEED_BYTES = 32

/** Makes a node on `platform`. */
export async function createNodeOn<
  Raw extends RawCore,
  Node extends NodeImpl,
  Options extends NodeOptions = NodeOptions,
>(platform: Platform<Raw, Node, Options>, options: Options): Promise<Node> {
  options.signal?.throwIfAborted()
  if (options.privateKey !== undefined && options.keyStore !== undefined) {
    throw new InvalidArgumentError('give privateKey or keyStore, not both')
  }
  const { bindings } = platform
  const memory = await load(bindings, () => options.wasm ?? platform.wasm())
  const privateKey = options.privateKey?.slice() ?? (await keyFrom(bindings, options)) ?? newKey(bindings)
  options.signal?.throwIfAborted()
  const raw = bindings.Core.create(
    Date.now(),
    randomBytes(),
    privateKey,
    options.agent ?? '',
    platform.hostCiphers,
  )
  if (raw === undefined)
    throw new KeyError('the private key cannot be read: it is to be in the protobuf encoding')
  const node = new platform.Node(new Core(raw, memory), platform.host, privateKey)
  try {
    await platform.prepare?.(node, options)
    for (const address of options.listen ?? []) await node.listen(address)
    options.signal?.throwIfAborted()
  } catch (error) {
    await node.close()
    throw error
  }
  return node
}

/** Makes a new Ed25519 private key on `platform`. */
export async function generateKeyOn<Raw extends RawCore>(
  platform: Pick<Platform<Raw, NodeImpl>, 'bindings' | 'wasm'>,
): Promise<Uint8Array> {
  await load(platform.bindings, platform.wasm)
  return newKey(platform.bindings)
}

async function keyFrom(bindings: Bindings, { keyStore }: NodeOptions): Promise<Uint8Array | undefined> {
  if (keyStore === undefined) return undefined
  return (await keyStore.load()) ?? keyStore.save(newKey(bindings))
}

function newKey(bindings: Bindings): Uint8Array {
  const key = bindings.Core.generate_key(randomBytes())
  if (key === undefined) throw new KeyError('no key could be made')
  return key
}

function randomBytes(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(SEED_BYTES))
}
