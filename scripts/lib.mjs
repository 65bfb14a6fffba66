// What every script here needs: where things are, how to run a program, how to
// tell the user what goes on. No dependencies, Node 20 or later.
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const inCi = process.env.CI === 'true' || process.env.CI === '1'
export const isWindows = process.platform === 'win32'

const colour = process.stdout.isTTY && !process.env.NO_COLOR
const paint = (code, text) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text)
export const red = (text) => paint(31, text)
export const green = (text) => paint(32, text)
export const bold = (text) => paint(1, text)
export const dim = (text) => paint(2, text)

/** Progress goes to stderr, so that `--json` leaves stdout to the machine. */
export const say = (text) => process.stderr.write(`${text}\n`)
export const heading = (text) => say(`\n${bold(`▸ ${text}`)}`)

/** An error whose message is all that the user needs: it is printed without a stack. */
export class Failure extends Error {}

/** Runs `main` and ends the process with 1 and a readable message when it fails. */
export async function entry(main) {
  try {
    await main()
  } catch (error) {
    say(`\n${red('✗')} ${error instanceof Failure ? error.message : error.stack}`)
    process.exit(1)
  }
}

/** Runs a program with its output shown on stderr; rejects when it does not end with 0. */
export function run(command, args, { cwd = root, env = {}, title } = {}) {
  if (title) say(`  ${dim('$')} ${title}`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 2, 2],
      shell: isWindows && command === 'npm',
    })
    child.on('error', (error) => reject(new Failure(`${command} could not be started: ${error.message}`)))
    child.on('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Failure(`${[command, ...args].join(' ')} ended with ${signal ?? code}`))
    })
  })
}

/** Runs a program silently: whether it ended with 0, and what it printed. */
export function ask(command, args, { cwd = root, env = {} } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    shell: isWindows && command === 'npm',
  })
  return { ok: result.status === 0, out: (result.stdout ?? '').trim(), err: (result.stderr ?? '').trim() }
}

/** The full path of a program on PATH, if it is there. */
export function which(program) {
  const names = isWindows ? [`${program}.exe`, `${program}.cmd`] : [program]
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) {
      const path = join(folder, name)
      if (isExecutable(path)) return path
    }
  }
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Where cargo puts what it builds for the workspace. */
export const targetFolder = process.env.CARGO_TARGET_DIR ?? join(root, 'target')

/** A program that cargo built for this machine. */
export const built = (name, profile = 'release') =>
  join(targetFolder, profile, isWindows ? `${name}.exe` : name)

/** The crates of the workspace, by name, with their folders. */
export function crates() {
  const { ok, out, err } = ask('cargo', ['metadata', '--no-deps', '--format-version', '1'])
  if (!ok) throw new Failure(`cargo cannot read the workspace:\n${err}`)
  return JSON.parse(out).packages
}

export const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`
