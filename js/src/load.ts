/** Loads a WebAssembly module, once for all nodes of a program. */

import type { RawCore, RawCores } from './core.js'
import { LoadError } from './errors.js'
import type { WasmSource } from './types.js'

/** What wasm-bindgen made of a module. */
export interface Bindings<Raw extends RawCore = RawCore> {
  initSync(source: { module: WebAssembly.Module }): { readonly memory: WebAssembly.Memory }
  readonly Core: RawCores<Raw>
}

const loading = new Map<RawCores<RawCore>, Promise<WebAssembly.Memory>>()

/** The module's memory, loading it from `source` the first time. */
export function load(
  bindings: Bindings,
  source: () => WasmSource | Promise<WasmSource>,
): Promise<WebAssembly.Memory> {
  const known = loading.get(bindings.Core)
  if (known !== undefined) return known
  const memory = start(bindings, source).catch((error: unknown) => {
    loading.delete(bindings.Core)
    throw error instanceof LoadError
      ? error
      : new LoadError(`the WebAssembly module could not be loaded: ${String(error)}`, { cause: error })
  })
  loading.set(bindings.Core, memory)
  return memory
}

/** Bytes of memory that the modules hold, for all nodes together; zero before one is loaded. */
export async function memoryBytes(): Promise<number> {
  const memories = await Promise.all(loading.values())
  return memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0)
}

async function start(
  bindings: Bindings,
  source: () => WasmSource | Promise<WasmSource>,
): Promise<WebAssembly.Memory> {
  const module = await compile(await source())
  return bindings.initSync({ module }).memory
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) {
    return WebAssembly.compile(source as Uint8Array<ArrayBuffer>)
  }
  const response = source instanceof Response ? source : await fetch(source)
  if (!response.ok)
    throw new LoadError(`${response.url}: the server answered ${response.status} ${response.statusText}`)
  // Compiles while it loads, unless the server misnames the type: then at the end.
  if (response.headers.get('content-type') === 'application/wasm')
    return WebAssembly.compileStreaming(response)
  const bytes = await response.arrayBuffer()
  if (new DataView(bytes).getUint32(0) !== 0x0061736d) {
    throw new LoadError(
      `${response.url} is not a WebAssembly module. Serve polypeer/core.wasm there, or say where it is: createNode({ wasm: url })`,
    )
  }
  return WebAssembly.compile(bytes)
}
