import type { Logger } from 'pino'
import { messageOf } from '../../domain/errors.ts'
import type { PartNews } from '../../embedded/supervisor/part.ts'

/** A part's news as a line of the log; of one that failed also why, and when it is started again. */
export function tellPart(log: Pick<Logger, 'info' | 'error'>): (news: PartNews) => void {
  return (news) => {
    const { type, part } = news
    if (type === 'failed') log.error({ part, error: messageOf(news.error), restartInMs: news.restartInMs }, type)
    else log.info({ part, ...('pid' in news ? { pid: news.pid } : {}) }, type)
  }
}
