// From a crate to a wasm module with its JavaScript: cargo, wasm-bindgen, wasm-opt.
//
//   node scripts/wasm.mjs CRATE OUT_DIR NAME [--features a,b] [--no-default-features]
import { copyFileSync, mkdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { built, entry, Failure, root, run, say, targetFolder } from './lib.mjs'
import { PAGES, WASI, wasmToolchain } from './wasm-toolchain.mjs'

/**
 * Builds `crate` and writes `NAME.js`, `NAME.d.ts` and `NAME_bg.wasm` to `out`: small, or
 * fast with the profile `node`. The module before wasm-opt keeps its names: its path is
 * returned, for the size report.
 */
export async function buildWasm({
  crate,
  out,
  name,
  features = [],
  defaultFeatures = true,
  profile = 'wasm',
}) {
  const toolchain = await wasmToolchain()
  const flags = [
    ...(features.length > 0 ? ['--features', features.join(',')] : []),
    ...(defaultFeatures ? [] : ['--no-default-features']),
  ]
  await run(
    toolchain.cargo,
    ['build', '--locked', '-p', crate, '--lib', '--target', PAGES, '--profile', profile, ...flags],
    {
      env: { ...toolchain.env, ...quiet(PAGES, profile) },
      title: `cargo build -p ${crate} --target ${PAGES} ${flags.join(' ')}`,
    },
  )
  await run('cargo', ['build', '--locked', '--release', '-p', 'polypeer-bindgen'])
  mkdirSync(out, { recursive: true })
  const module = join(targetFolder, PAGES, profile, `${crate.replaceAll('-', '_')}.wasm`)
  await run(built('polypeer-bindgen'), [module, out, name])
  const bound = join(out, `${name}_bg.wasm`)
  await optimise(bound, profile === 'node' ? ['-O3'] : ['-Oz', ...noInlining])
  return module
}

/**
 * Builds `crate`, which exports plain functions and asks the host for time and
 * randomness by WASI, and writes `NAME.wasm` to `out`.
 */
export async function buildWasi({ crate, out, name }) {
  const toolchain = await wasmToolchain(WASI)
  await run(
    toolchain.cargo,
    ['build', '--locked', '-p', crate, '--lib', '--target', WASI, '--profile', 'node'],
    { env: { ...toolchain.env, ...quiet(WASI) }, title: `cargo build -p ${crate} --target ${WASI}` },
  )
  mkdirSync(out, { recursive: true })
  const module = join(out, `${name}.wasm`)
  copyFileSync(join(targetFolder, WASI, 'node', `${crate.replaceAll('-', '_')}.wasm`), module)
  await optimise(module, ['-O3'])
}

async function optimise(module, how) {
  const name = basename(module)
  await run(process.execPath, [wasmOpt(), module, '-o', module, ...how, ...stripped, ...wasmFeatures], {
    title: `wasm-opt ${how[0]} ${name}`,
  })
  say(`  ${name}: ${statSync(module).size} bytes`)
}

// A panic stops the module either way; where it was and the values beside it are
// 6% of its bytes. Stable compilers take these flags when told so. Paths of the
// machine that built it do not get into the module either. Every Node has SIMD.
const quiet = (target, profile) => ({
  RUSTC_BOOTSTRAP: '1',
  [`CARGO_TARGET_${target.toUpperCase().replaceAll('-', '_')}_RUSTFLAGS`]: `-Zlocation-detail=none -Zfmt-debug=none${profile === 'node' ? ' -Ctarget-feature=+simd128' : ''}`,
})

// A body that is repeated less compresses better.
const noInlining = [
  '--always-inline-max-function-size=0',
  '--flexible-inline-max-function-size=0',
  '--one-caller-inline-max-function-size=0',
]

// What nothing that runs a module reads.
const stripped = ['--strip-debug', '--strip-producers', '--strip-target-features']

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
