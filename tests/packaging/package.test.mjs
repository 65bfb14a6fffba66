// The package as its users get it: packed, installed in an empty folder, used from
// Node, from TypeScript and from a production build of Vite in Chromium.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { serveFolder } from '../../scripts/static-server.mjs'
import { launch } from '../lib/browser.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fixtures = fileURLToPath(new URL('fixtures', import.meta.url))
const tool = (path) => join(root, 'node_modules', path)

let folder
let packed

const exec = promisify(execFile)
/** Runs a program in the user's folder; its output is in the error if it fails. */
async function run(program, args, cwd = folder) {
  try {
    return (await exec(program, args, { cwd, shell: process.platform === 'win32' && program === 'npm' }))
      .stdout
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`, { cause: error })
  }
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'polypeer-user-'))
  const [report] = JSON.parse(
    await run('npm', ['pack', '--json', '--pack-destination', folder], join(root, 'js')),
  )
  packed = report
  await cp(fixtures, folder, { recursive: true })
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', `./${report.filename}`])
})
after(() => folder && rm(folder, { recursive: true, force: true }))

test('the tarball holds what is used and nothing else', () => {
  const names = packed.files.map(({ path }) => path)
  for (const wanted of [
    'package.json',
    ...['core_bg', 'node_bg', 'mini_bg', 'rtc'].map((name) => `generated/${name}.wasm`),
  ])
    assert.ok(names.includes(wanted), wanted)
  const strange = names.filter((name) =>
    /(^|\/)(test|tests|node_modules|target|core)\/|\.rs$|tsconfig/.test(name),
  )
  assert.deepEqual(strange, [])
})

test('works in Node', async () => {
  const out = await run(process.execPath, ['echo.mjs'])
  assert.equal(out.trim(), 'hello from node')
})

test('its types hold under strict TypeScript', async () => {
  for (const resolution of ['nodenext', 'bundler']) {
    await run(process.execPath, [tool('typescript/bin/tsc'), '-p', `tsconfig.${resolution}.json`])
  }
})

test('works in a production build of Vite', { timeout: 120_000 }, async () => {
  await run(process.execPath, [tool('vite/bin/vite.js'), 'build', '--logLevel', 'error'])
  // What Node alone needs is not in the page.
  const modules = (await readdir(join(folder, 'dist/assets'))).filter((name) => name.endsWith('.wasm'))
  assert.deepEqual(
    modules.map((name) => name.split('-')[0]),
    ['core_bg'],
  )
  const listener = spawn(process.execPath, ['listen.mjs'], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const address = await new Promise((resolve, reject) => {
    createInterface({ input: listener.stdout }).once('line', resolve)
    listener.once('close', (code) => reject(new Error(`the listener ended with ${code}`)))
  })
  const server = await serveFolder(join(folder, 'dist'))
  const browser = await launch()
  try {
    const page = await browser.newPage()
    const errors = []
    page.on('pageerror', (error) => errors.push(error.message))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    await page.goto(`${server.url}#${address}`)
    await page
      .waitForFunction(() => document.title !== 'waiting')
      .catch((error) => {
        throw new Error(`the page did not answer: ${errors.join('; ')}`, { cause: error })
      })
    assert.equal(await page.title(), 'hello from the page', errors.join('; '))
  } finally {
    await browser.close()
    await server.close()
    listener.stdin.end()
  }
})

test('says which runtimes and types it is for', async () => {
  const manifest = JSON.parse(await readFile(join(folder, 'node_modules/polypeer/package.json'), 'utf8'))
  assert.equal(manifest.type, 'module')
  assert.equal(manifest.license, 'MIT OR Apache-2.0')
  assert.match(manifest.engines.node, />=\s*20/)
  await writeFile(join(folder, 'resolve.mjs'), "console.log(import.meta.resolve('polypeer/package.json'))")
  assert.match(await run(process.execPath, ['resolve.mjs']), /polypeer\/package\.json/)
})
