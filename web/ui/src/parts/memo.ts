import { Component, createElement, type FunctionComponent } from 'preact'

// memo draws again only when a property changed, or a signal that was read.
export function memo<P extends object>(part: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props
      const names = new Set([...Object.keys(now), ...Object.keys(next)]) as Set<keyof P>
      for (const name of names) if (now[name] !== next[name]) return true
      return false
    }
    override render() {
      return createElement(part, this.props as never)
    }
  }
  return Memo as unknown as FunctionComponent<P>
}
