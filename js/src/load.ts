/** Loads the WebAssembly module, once for all nodes of a program. */

import { initSync, Core as RawCore } from '../generated/core.js'
import { LoadError } from './errors.js'
import type { WasmSource } from './types.js'

let loading: Promise<WebAssembly.Memory> | undefined

/** The module's memory, loading it from `source` the first time. */
export function load(source: () => WasmSource | Promise<WasmSource>): Promise<WebAssembly.Memory> {
  loading ??= start(source).catch((error: unknown) => {
    loading = undefined
    throw error instanceof LoadError
      ? error
      : new LoadError(`the WebAssembly module could not be loaded: ${String(error)}`, { cause: error })
  })
  return loading
}

export { RawCore }

/** Bytes of memory that the module holds, for all nodes together; zero before it is loaded. */
export async function memoryBytes(): Promise<number> {
  return (await loading)?.buffer.byteLength ?? 0
}

async function start(source: () => WasmSource | Promise<WasmSource>): Promise<WebAssembly.Memory> {
  const module = await compile(await source())
  return initSync({ module }).memory
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
