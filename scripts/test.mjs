// npm test [-- STAGE...]: sets up, builds, runs every test; stops at the first
// stage that fails. Stages: rust, js, demo, packaging, interop.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { build } from './build.mjs'
import { bold, entry, Failure, green, heading, red, root, say, seconds } from './lib.mjs'
import { buildPeers } from './peers.mjs'
import { setup } from './setup.mjs'

const totals = { passed: 0, failed: 0, skipped: 0 }

/** Runs a test program with its output shown, adding what it counted to the totals. */
function tests(command, args, { cwd = root, env = {}, title }) {
  say(`  $ ${title}`)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 2],
      shell: process.platform === 'win32' && command === 'npm',
    })
    let rest = ''
    child.stdout.setEncoding('utf8').on('data', (text) => {
      process.stdout.write(text)
      const lines = (rest + text).split('\n')
      rest = lines.pop()
      for (const line of lines) count(line)
    })
    child.on('error', (error) => reject(new Failure(`${command} could not be started: ${error.message}`)))
    child.on('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Failure(`${title} ended with ${signal ?? code}`))
    })
  })
}

/** Reads the closing lines of cargo's and of Node's test runner. */
function count(line) {
  const cargo = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line)
  if (cargo) {
    totals.passed += Number(cargo[1])
    totals.failed += Number(cargo[2])
    totals.skipped += Number(cargo[3])
  }
  const node = /^(?:ℹ|#) (pass|fail|cancelled|skipped) (\d+)$/.exec(line)
  if (node) {
    const kind = { pass: 'passed', fail: 'failed', cancelled: 'failed', skipped: 'skipped' }[node[1]]
    totals[kind] += Number(node[2])
  }
}

/** Every `*.test.mjs` under a folder. */
function testFiles(folder) {
  const path = join(root, folder)
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true })
    .filter((file) => file.endsWith('.test.mjs') && !file.includes('node_modules'))
    .map((file) => relative(root, join(path, file)))
    .sort()
}

function nodeTests(folder, options = []) {
  const files = testFiles(folder)
  if (files.length === 0) return say(`  - no tests in ${folder} yet`)
  return tests(process.execPath, ['--test', '--test-reporter=spec', ...options, ...files], {
    title: `node --test ${folder}`,
  })
}

const stages = {
  rust: {
    title: 'Rust tests',
    run: () =>
      tests('cargo', ['test', '--workspace', '--all-features', '--locked'], {
        title: 'cargo test --workspace --all-features',
      }),
  },
  js: {
    title: 'The npm package in Node, Chromium, Firefox and WebKit',
    run: () => tests('npm', ['test', '--workspace', 'js', '--silent'], { title: 'npm test (js)' }),
  },
  demo: {
    title: 'The demo: pages in Chromium, the server, a peer in Node',
    run: () => nodeTests('www/test'),
  },
  packaging: {
    title: 'The packed package as its users install it',
    run: () => nodeTests('tests/packaging'),
  },
  interop: {
    title: 'Against go-libp2p, rust-libp2p and js-libp2p',
    async run() {
      await buildPeers()
      await nodeTests('tests/interop', ['--test-concurrency=2'])
    },
  },
}

await entry(async () => {
  const start = performance.now()
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter((name) => !stages[name])
  if (unknown.length > 0)
    throw new Failure(`no such stage: ${unknown.join(', ')}; there are ${Object.keys(stages).join(', ')}`)
  const chosen = Object.entries(stages).filter(([name]) => wanted.length === 0 || wanted.includes(name))
  await setup({ tests: true })
  let builtAlready = false
  for (const [name, stage] of chosen) {
    if (name !== 'rust' && !builtAlready) {
      await build({ tests: true })
      builtAlready = true
    }
    const since = performance.now()
    heading(stage.title)
    try {
      await stage.run()
    } catch (error) {
      say(`${red('✗')} ${bold(stage.title)} failed after ${seconds(since)}`)
      throw error
    }
    say(`${green('✓')} ${stage.title} (${seconds(since)})`)
  }
  say(`\nAll stages passed in ${seconds(start)}`)
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`)
})
