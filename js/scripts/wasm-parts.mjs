// What a wasm module is made of, by crate: reads the code section's sizes and
// the name section. Needs a module that still has its names.

/** Bytes of code by crate, and of the other sections, largest first. */
export function parts(bytes) {
  const reader = new Reader(bytes)
  reader.at = 8
  const sizes = []
  let names = new Map()
  let imports = 0
  const sections = new Map()
  while (reader.at < bytes.length) {
    const id = reader.byte()
    const length = reader.varint()
    const end = reader.at + length
    if (id === 2) imports = importedFunctions(reader)
    else if (id === 10) {
      for (let count = reader.varint(); count > 0; count--) {
        const size = reader.varint()
        sizes.push(size)
        reader.at += size
      }
    } else if (id === 0) {
      if (reader.text() === 'name') names = functionNames(reader, end)
    } else if (id === 11) sections.set('(data)', length)
    else sections.set('(other sections)', (sections.get('(other sections)') ?? 0) + length)
    reader.at = end
  }
  const functions = sizes.map((size, index) => ({ name: names.get(index + imports) ?? '?', size }))
  const crates = new Map(sections)
  for (const { name, size } of functions) {
    const crate = crateOf(name)
    crates.set(crate, (crates.get(crate) ?? 0) + size)
  }
  const largest = (a, b) => b.size - a.size
  return {
    crates: [...crates].map(([name, size]) => ({ name, size })).sort(largest),
    functions: functions.sort(largest),
  }
}

/** The crate that a function was written in, from its mangled name; of `<A as B>::c` that of `A`. */
function crateOf(name) {
  const current = /Cs[0-9A-Za-z]+_(\d+)/.exec(name)
  if (name.startsWith('_R') && current) {
    const start = current.index + current[0].length
    return name.slice(start, start + Number(current[1]))
  }
  if (!name.startsWith('_ZN')) return '(binding and runtime)'
  const length = /^_ZN(\d+)/.exec(name)
  const first = name.slice(length[0].length, length[0].length + Number(length[1]))
  return (
    /(?:^|\$(?:LT|RF|u20)\$|_\$LT\$)(?:mut\$u20\$|dyn\$u20\$)?([a-z][a-z0-9_]*)(?:\.\.|$)/.exec(first)?.[1] ??
    first
  )
}

function importedFunctions(reader) {
  let functions = 0
  for (let count = reader.varint(); count > 0; count--) {
    reader.text()
    reader.text()
    const kind = reader.byte()
    if (kind === 0) {
      functions++
      reader.varint()
    } else if (kind === 3) reader.at += 2
    else {
      if (kind === 1) reader.byte()
      const limits = reader.byte()
      reader.varint()
      if (limits & 1) reader.varint()
    }
  }
  return functions
}

function functionNames(reader, end) {
  const names = new Map()
  while (reader.at < end) {
    const kind = reader.byte()
    const length = reader.varint()
    const next = reader.at + length
    if (kind === 1) {
      for (let count = reader.varint(); count > 0; count--) {
        const index = reader.varint()
        names.set(index, reader.text())
      }
    }
    reader.at = next
  }
  return names
}

class Reader {
  at = 0
  #bytes

  constructor(bytes) {
    this.#bytes = bytes
  }

  byte() {
    return this.#bytes[this.at++]
  }

  varint() {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }

  text() {
    const length = this.varint()
    this.at += length
    return new TextDecoder().decode(this.#bytes.subarray(this.at - length, this.at))
  }
}
