// Finds, or installs, a Rust toolchain that builds for wasm32: for pages
// (wasm32-unknown-unknown) or with WASI, for Node (wasm32-wasip1).
//
// The ordinary way is `rustup target add`. Where rustup is missing or cannot
// reach its server, Debian's packages do: they bring the sources of the standard
// library, which is built once for wasm32 and put beside the host's.
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask, Failure, isExecutable, run, say, which } from './lib.mjs'

/** What pages run. */
export const PAGES = 'wasm32-unknown-unknown'
/** What Node runs that wants a clock and randomness. */
export const WASI = 'wasm32-wasip1'

const debianRustc = '/usr/bin/rustc'
const debianCargo = '/usr/bin/cargo'
const debianPackages = ['rustc-web', 'cargo-web', 'rust-web-src', 'lld-19']
/** Debian's C library for WASI, which the standard library stands on there. */
const wasiLibc = '/usr/lib/wasm32-wasi'

const onPath = { cargo: 'cargo', rustc: 'rustc', env: {} }
const debian = { cargo: debianCargo, rustc: debianRustc, env: { RUSTC: debianRustc } }

/** Whether this compiler has a standard library for `target`. */
function hasTarget({ rustc }, target) {
  const { ok, out } = ask(rustc, ['--print', 'target-libdir', '--target', target])
  return ok && existsSync(out) && readdirSync(out).some((file) => file.startsWith('libcore-'))
}

/** Whether the compiler on PATH can build for `target`. */
export const hasStandardLibrary = (target) => hasTarget(onPath, target)

/** The toolchain to build wasm with, `{ cargo, rustc, env }`, or undefined. */
export function findWasmToolchain(target = PAGES) {
  if (hasTarget(onPath, target)) return onPath
  if (isExecutable(debianRustc) && isExecutable(debianCargo) && hasTarget(debian, target)) return debian
}

/** The same, installed when it is missing. */
export async function wasmToolchain(target = PAGES) {
  const found = findWasmToolchain(target)
  if (found) return found
  if (which('rustup')) {
    const added = await run('rustup', ['target', 'add', target], {
      title: `rustup target add ${target}`,
    }).then(
      () => true,
      () => false,
    )
    if (added && hasTarget(onPath, target)) return onPath
    say('  rustup could not add the target; trying the packages of the system')
  }
  if (!(which('apt-get') && process.getuid?.() === 0)) {
    throw new Failure(
      `Rust has no standard library for ${target} here.\n` +
        `  With rustup:  rustup target add ${target}\n` +
        '  On Debian without rustup, run this once as root: npm run setup',
    )
  }
  await installFromDebian(target)
  return debian
}

async function installFromDebian(target) {
  await aptInstall(target === WASI ? [...debianPackages, 'wasi-libc'] : debianPackages)
  const host = ask(debianRustc, ['--print', 'host-tuple']).out || hostOf(debianRustc)
  const linker = join('/usr/lib/rustlib', host, 'bin/rust-lld')
  if (!existsSync(linker)) {
    mkdirSync(join(linker, '..'), { recursive: true })
    symlinkSync('/usr/bin/lld-19', linker)
  }
  const folder = mkdtempSync(join(tmpdir(), 'wasm-std-'))
  try {
    mkdirSync(join(folder, 'src'))
    writeFileSync(
      join(folder, 'Cargo.toml'),
      '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2021"\n',
    )
    writeFileSync(join(folder, 'src/lib.rs'), '#![no_std]\n')
    // Without bitcode in the library, link-time optimisation of what uses it fails.
    await run(
      debianCargo,
      ['build', '--release', '--target', target, '-Zbuild-std=std,panic_abort,test,proc_macro'],
      {
        cwd: folder,
        env: {
          RUSTC: debianRustc,
          RUSTC_BOOTSTRAP: '1',
          RUSTFLAGS: '-Cembed-bitcode=yes',
          CARGO_TARGET_DIR: join(folder, 'target'),
        },
        title: `build the standard library for ${target} (about a minute)`,
      },
    )
    const from = join(folder, 'target', target, 'release/deps')
    const to = join('/usr/lib/rustlib', target, 'lib')
    mkdirSync(to, { recursive: true })
    for (const file of readdirSync(from)) {
      if (file.endsWith('.rlib') && !file.startsWith('libempty'))
        copyFileSync(join(from, file), join(to, file))
    }
    if (target === WASI) cpSync(wasiLibc, join(to, 'self-contained'), { recursive: true })
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  if (!hasTarget(debian, target))
    throw new Failure(`the standard library for ${target} was built but rustc does not find it`)
}

const hostOf = (rustc) => /^host: (.*)$/m.exec(ask(rustc, ['-vV']).out)?.[1] ?? ''

/** Installs Debian packages; the caller has made sure of root and apt-get. */
export async function aptInstall(packages) {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const install = () =>
    run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
      env,
      title: `apt-get install ${packages.join(' ')}`,
    })
  try {
    await install()
  } catch {
    await run('apt-get', ['update', '-qq'], { env, title: 'apt-get update' })
    await install()
  }
}
