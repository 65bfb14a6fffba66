// npm run release: builds the program for this system and packs it in target/dist, with its
// SHA-256 and the script that installs it. To be served as it is, or published.
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  ask,
  bold,
  built,
  entry,
  Failure,
  heading,
  isWindows,
  root,
  run,
  say,
  targetFolder,
  which,
} from './lib.mjs'
import { setup } from './setup.mjs'
import { aptInstall, hasStandardLibrary } from './wasm-toolchain.mjs'

const installer = join(root, 'scripts/install.sh')

/** What archives call this system; scripts/install.sh knows the same names. */
function system() {
  const kernel = { linux: 'linux', darwin: 'macos', win32: 'windows' }[process.platform]
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch]
  if (!kernel || !machine)
    throw new Failure(`there is no name for archives of ${process.platform} on ${process.arch}`)
  return `${machine}-${kernel}`
}

/** The version, and where releases are: as the workspace says, and the installer too. */
function release() {
  const manifest = readFileSync(join(root, 'Cargo.toml'), 'utf8')
  const of = (name) => new RegExp(`^${name} = "(.*)"`, 'm').exec(manifest)?.[1]
  const [version, repository] = [of('version'), of('repository')]
  const script = readFileSync(installer, 'utf8')
  const releases = `${repository}/releases/download`
  for (const wanted of [
    `\nversion=${version}\n`,
    `\nreleases=${releases}\n`,
    `${releases}/v${version}/install.sh`,
  ])
    if (!script.includes(wanted)) throw new Failure(`scripts/install.sh does not say ${wanted.trim()}`)
  return { version, repository }
}

/**
 * The target whose programs need nothing of the system, with musl as their C library, where
 * it can be built; undefined where it cannot.
 */
async function staticTarget() {
  if (process.platform !== 'linux') return undefined
  const host = /^host: (.*)$/m.exec(ask('rustc', ['-vV']).out)?.[1]
  const target = host?.replace('-gnu', '-musl')
  try {
    if (!which('musl-gcc') && which('apt-get') && process.getuid?.() === 0) await aptInstall(['musl-tools'])
    if (!hasStandardLibrary(target) && which('rustup')) await run('rustup', ['target', 'add', target])
  } catch (error) {
    if (!(error instanceof Failure)) throw error
  }
  if (which('musl-gcc') && hasStandardLibrary(target)) return target
  say(`  - the program will need the C library of this system: musl-gcc or Rust's ${target} is missing`)
}

/** Builds the program to be packed and tells where it is. */
async function buildProgram() {
  const target = await staticTarget()
  const args = ['build', '--release', '--locked', '-p', 'polypeer-native', '--bin', 'polypeer']
  if (target) args.push('--target', target)
  const compiler = target ? { [`CC_${target.replaceAll('-', '_')}`]: 'musl-gcc' } : {}
  await run('cargo', args, { env: compiler, title: `cargo ${args.join(' ')}` })
  return target ? join(targetFolder, target, 'release/polypeer') : built('polypeer')
}

/** The version of glibc that a program wants; undefined if it wants none. */
function glibc(program) {
  const wanted = [...readFileSync(program, 'latin1').matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) =>
    Number(minor),
  )
  return wanted.length > 0 ? `2.${Math.max(...wanted)}` : undefined
}

function readme({ version, repository }, program) {
  const libc = glibc(program)
  const needs =
    process.platform === 'linux'
      ? `It needs ${libc ? `glibc ${libc} or later` : 'nothing else: it is linked statically'}.\n`
      : ''
  return `# polypeer ${version}

A libp2p server: circuit relay and DHT, which pages reach by WebRTC and WebSocket, and others by
QUIC and TCP too.
${needs}
    ./polypeer serve
    ./polypeer --help

What it is and how it is made: ${repository}
Licence: MIT (LICENSE-MIT) or Apache-2.0 (LICENSE-APACHE), at your choice.
`
}

/** Packs a program in a folder, with what goes with it; the path of the archive. */
export async function pack(program, folder) {
  const what = release()
  const name = `polypeer-${what.version}-${system()}`
  const archive = join(folder, `${name}.tar.gz`)
  const aside = mkdtempSync(join(tmpdir(), 'polypeer-release-'))
  try {
    const inside = join(aside, name)
    mkdirSync(inside)
    const file = join(inside, isWindows ? 'polypeer.exe' : 'polypeer')
    copyFileSync(program, file)
    chmodSync(file, 0o755)
    for (const licence of ['LICENSE-MIT', 'LICENSE-APACHE'])
      copyFileSync(join(root, licence), join(inside, licence))
    writeFileSync(join(inside, 'README.md'), readme(what, program))
    mkdirSync(folder, { recursive: true })
    await run('tar', ['-czf', archive, '-C', aside, name])
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
  const digest = createHash('sha256').update(readFileSync(archive)).digest('hex')
  // As sha256sum writes and reads it.
  writeFileSync(`${archive}.sha256`, `${digest}  ${basename(archive)}\n`)
  copyFileSync(installer, join(folder, 'install.sh'))
  return archive
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await entry(async () => {
    await setup()
    heading('Release')
    const folder = join(targetFolder, 'dist')
    const archive = await pack(await buildProgram(), folder)
    say(`  ${bold(archive)}`)
    say(
      `  Install it on a machine of the same system:  POLYPEER_FROM=${folder} sh ${join(folder, 'install.sh')}`,
    )
  })
}
