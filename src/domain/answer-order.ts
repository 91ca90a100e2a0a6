import type { Answer } from './environment.ts'

/**
 * Does an answer take the place of the one that is known to the same request? How that ended outweighs what was said of it on its
 * way, whenever that was: a request is said again meanwhile, and what is said to that may come late. Of two of a kind the newer counts.
 */
export function outweighs(answer: Pick<Answer, 'status' | 'at'>, known: Pick<Answer, 'status' | 'at'>): boolean {
  if (isEnd(answer) !== isEnd(known)) return isEnd(answer)
  return answer.at >= known.at
}

function isEnd({ status }: Pick<Answer, 'status'>): boolean {
  return status !== 'queued' && status !== 'running'
}
