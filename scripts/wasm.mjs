// From a crate to a wasm module with its JavaScript: cargo, wasm-bindgen, wasm-opt.
//
//   node scripts/wasm.mjs CRATE OUT_DIR NAME [--features a,b] [--no-default-features]
import { mkdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { built, entry, Failure, root, run, say, targetFolder } from './lib.mjs'
import { wasmToolchain } from './wasm-toolchain.mjs'

const target = 'wasm32-unknown-unknown'

/**
 * Builds `crate` and writes `NAME.js`, `NAME.d.ts` and `NAME_bg.wasm` to `out`.
 * The module before wasm-opt keeps its names: its path is returned, for the size report.
 */
export async function buildWasm({ crate, out, name, features = [], defaultFeatures = true }) {
  const toolchain = await wasmToolchain()
  const flags = [
    ...(features.length > 0 ? ['--features', features.join(',')] : []),
    ...(defaultFeatures ? [] : ['--no-default-features']),
  ]
  await run(
    toolchain.cargo,
    ['build', '--locked', '-p', crate, '--lib', '--target', target, '--profile', 'wasm', ...flags],
    {
      env: { ...toolchain.env, ...smallPanics },
      title: `cargo build -p ${crate} --target ${target} ${flags.join(' ')}`,
    },
  )
  await run('cargo', ['build', '--locked', '--release', '-p', 'polypeer-bindgen'])
  mkdirSync(out, { recursive: true })
  const module = join(targetFolder, target, 'wasm', `${crate.replaceAll('-', '_')}.wasm`)
  await run(built('polypeer-bindgen'), [module, out, name])
  const bound = join(out, `${name}_bg.wasm`)
  await run(
    process.execPath,
    [
      wasmOpt(),
      bound,
      '-o',
      bound,
      '-Oz',
      ...noInlining,
      '--strip-debug',
      '--strip-producers',
      ...wasmFeatures,
    ],
    {
      title: `wasm-opt -Oz ${name}_bg.wasm`,
    },
  )
  say(`  ${name}_bg.wasm: ${statSync(bound).size} bytes`)
  return module
}

// A panic stops the module either way; where it was and the values beside it are
// 6% of its bytes. Stable compilers take these flags when told so. Paths of the
// machine that built it do not get into the module either.
const smallPanics = {
  RUSTC_BOOTSTRAP: '1',
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS: '-Zlocation-detail=none -Zfmt-debug=none',
}

// A body that is repeated less compresses better.
const noInlining = [
  '--always-inline-max-function-size=0',
  '--flexible-inline-max-function-size=0',
  '--one-caller-inline-max-function-size=0',
]

// What every browser of the last years has; SIMD is what the ciphers are made of.
const wasmFeatures = [
  '--enable-bulk-memory',
  '--enable-mutable-globals',
  '--enable-nontrapping-float-to-int',
  '--enable-reference-types',
  '--enable-multivalue',
  '--enable-sign-ext',
  '--enable-simd',
]

function wasmOpt() {
  try {
    const manifest = createRequire(join(root, 'package.json')).resolve('binaryen/package.json')
    return join(manifest, '../bin/wasm-opt')
  } catch {
    throw new Failure('wasm-opt is missing: run `npm run setup`')
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { features: { type: 'string' }, 'no-default-features': { type: 'boolean' } },
  })
  const [crate, out, name] = positionals
  await entry(async () => {
    if (!name)
      throw new Failure(
        'usage: node scripts/wasm.mjs CRATE OUT_DIR NAME [--features a,b] [--no-default-features]',
      )
    await buildWasm({
      crate,
      out,
      name,
      features: values.features?.split(','),
      defaultFeatures: !values['no-default-features'],
    })
  })
}
