// What a process has used so far, from outside. Linux alone tells; elsewhere the rows
// that need it are left out.
import { readFileSync } from 'node:fs'

const linux = process.platform === 'linux'
/** The kernel counts in hundredths of a second for every program. */
const ticks = 100

/** Seconds of CPU time, in user mode and in the kernel, of all threads. */
export function cpuSeconds(pid) {
  if (!linux) return undefined
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in parentheses may hold spaces; the times are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticks
}

/** Memory in use that is in RAM, in KiB. */
export function residentKiB(pid) {
  if (!linux) return undefined
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1])
}
