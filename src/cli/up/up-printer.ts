import { styleText } from 'node:util'
import { BelayError, messageOf } from '../../domain/errors.ts'
import type { PartNews } from '../../embedded/supervisor/part.ts'

export interface UpPrinter {
  part(news: PartNews): void
  note(text: string): void
  /** Goes out whatever the mode: the URL, the token. */
  result(name: 'url' | 'token' | 'edge', text: string, explanation: string): void
}

export function createUpPrinter(options: {
  json: boolean
  quiet: boolean
  colour: boolean
  write: (line: string) => void
}): UpPrinter {
  const { json, quiet, write } = options
  if (json) {
    return {
      part: (news) => write(JSON.stringify(news.type === 'failed' ? { ...news, error: messageOf(news.error) } : news)),
      note: (text) => write(JSON.stringify({ type: 'note', text })),
      result: (name, text) => write(JSON.stringify({ type: name, [name]: text })),
    }
  }
  return {
    part(news) {
      if (!quiet || news.type === 'ended' || news.type === 'failed') write(describe(news, options.colour))
    },
    note(text) {
      if (!quiet) write(text)
    },
    result(_, text, explanation) {
      write(quiet || explanation === '' ? text : `${explanation}  ${text}`)
    },
  }
}

function describe(news: PartNews, colour: boolean): string {
  const name = news.part.padEnd(9)
  const state = (style: 'green' | 'yellow' | 'red', text: string) => (colour ? styleText(style, text.padEnd(8)) : text.padEnd(8))
  switch (news.type) {
    case 'ready':
      return `${name} ${state('green', 'ready')} ${news.detail}  (${seconds(news.ms)})`
    case 'ended':
      return `${name} ${state('yellow', 'ended')} ${news.how}; starting it again in ${seconds(news.restartInMs)}`
    case 'failed':
      return `${name} ${state('red', 'failed')} ${explain(news.error)}; trying again in ${seconds(news.restartInMs)}`
    case 'stopped':
      return `${name} ${state('green', 'stopped')} (${seconds(news.ms)})`
  }
}

function explain(error: unknown): string {
  const hint = error instanceof BelayError && error.hint !== undefined ? `\n  ${error.hint.replaceAll('\n', '\n  ')}\n ` : ''
  return `${messageOf(error)}${hint}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
