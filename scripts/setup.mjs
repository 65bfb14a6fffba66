// npm run setup: installs what is missing to build (and, with --tests, to test).
// Quick when everything is there; safe to repeat.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { browser, browsers } from './browsers.mjs'
import { ask, entry, Failure, green, heading, inCi, root, run, say, which } from './lib.mjs'
import { PAGES, WASI, wasmToolchain } from './wasm-toolchain.mjs'

const done = (what, detail = '') => say(`  ${green('✓')} ${what}${detail ? `  ${detail}` : ''}`)

// A compiler that root tells to write to /dev/null may leave a file in its place: then
// what one program throws away is what the next one reads, and cargo fails on that.
async function nullDevice() {
  if (process.platform !== 'linux' || statSync('/dev/null', { throwIfNoEntry: false })?.isCharacterDevice())
    return
  const mend = 'rm -f /dev/null && mknod -m 666 /dev/null c 1 3'
  if (process.getuid?.() !== 0)
    throw new Failure(`/dev/null is not a device here, builds fail on that. As root: ${mend}`)
  await run('sh', ['-c', mend], { title: mend })
}

function node() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < 20)
    throw new Failure(`Node ${process.versions.node} is too old: 20 or later is needed (https://nodejs.org)`)
  done('Node', process.versions.node)
}

function rust() {
  const { ok, out } = ask('cargo', ['--version'])
  if (!ok) {
    throw new Failure(
      'Rust is missing: `cargo` was not found.\n' +
        '  Install it from https://rustup.rs, or on Debian and Ubuntu: apt-get install rustup && rustup default stable',
    )
  }
  const wanted = /^rust-version = "(.*)"/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))?.[1]
  const have = /(\d+)\.(\d+)/.exec(out)
  const [major, minor] = (wanted ?? '0.0').split('.').map(Number)
  if (have && (Number(have[1]) < major || (Number(have[1]) === major && Number(have[2]) < minor))) {
    throw new Failure(`${out} is too old: ${wanted} or later is needed.\n  With rustup: rustup update stable`)
  }
  done('Rust', out)
}

/** Installs the npm packages when the lock file or a manifest changed since the last time. */
async function packages() {
  const stamp = join(root, 'node_modules/.polypeer-setup')
  const lock = join(root, 'package-lock.json')
  const state = () => {
    const hash = createHash('sha256')
    for (const file of [
      'package.json',
      'package-lock.json',
      'js/package.json',
      'www/package.json',
      'tests/package.json',
    ]) {
      const path = join(root, file)
      hash.update(file).update(existsSync(path) ? readFileSync(path) : '')
    }
    return hash.digest('hex')
  }
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== state()) {
    const command = existsSync(lock) && inCi ? 'ci' : 'install'
    await run('npm', [command, '--no-audit', '--no-fund', '--loglevel=error'], { title: `npm ${command}` })
    // The tests bring a second, newer Node: `npm run` must not prefer it to the user's.
    for (const name of ['node', 'node.cmd', 'node.ps1'])
      rmSync(join(root, 'node_modules/.bin', name), { force: true })
    writeFileSync(stamp, state())
  }
  done('npm packages')
}

async function wasm() {
  for (const target of [PAGES, WASI]) {
    const toolchain = await wasmToolchain(target)
    done(target, ask(toolchain.rustc, ['--version']).out)
  }
}

async function installBrowsers() {
  for (const name of Object.keys(browsers)) {
    const found = await browser(name)
    if (found) done(name, found)
    else say(`  - ${name} is not installed: the tests in it will be skipped`)
  }
}

function go() {
  const { ok, out } = ask('go', ['version'])
  if (ok) done('Go', out)
  else if (inCi) throw new Failure('Go is missing: the tests against go-libp2p need it (https://go.dev/dl)')
  else say('  - Go is not installed: the tests against go-libp2p will be skipped')
}

export async function setup({ tests = false } = {}) {
  heading('Set up')
  await nullDevice()
  node()
  rust()
  await packages()
  await wasm()
  if (!tests) return
  await installBrowsers()
  if (which('cc') === undefined && process.platform !== 'win32') {
    throw new Failure('A C compiler is missing (`cc`): the tests build rust-libp2p, which needs one')
  }
  go()
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await entry(() => setup({ tests: process.argv.includes('--tests') }))
}
