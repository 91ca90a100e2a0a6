/** How one environment's containers are to be. */
export interface DockerEnvironment {
  /** A context of the docker program, or a host (unix://, tcp://, ssh://); neither: what DOCKER_HOST or the program says. */
  engine: {
    context?: string
    host?: string
    /** IP address where published ports are reached. */
    address: string
  }
  /** 1..16 */
  instances: number
  /** Swap is not given beside it; absent: no limit. */
  memoryBytes?: number
  pids: number
}
