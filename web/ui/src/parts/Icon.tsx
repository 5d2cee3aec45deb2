const paths = {
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14ZM16 16l4.5 4.5',
  bell: 'M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15L6 16ZM10 20.5a2 2 0 0 0 4 0',
  pause: 'M8.5 5v14M15.5 5v14',
  play: 'M8 5l11 7-11 7V5Z',
  plus: 'M12 5v14M5 12h14',
  reply: 'M10 7 4.5 12 10 17M5 12h9a5.5 5.5 0 0 1 5.5 5.5V19',
  link: 'M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17',
  menu: 'M4 7h16M4 12h16M4 17h16',
  info: 'M12 11v6M12 7.2v.3M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z',
  close: 'M6 6l12 12M18 6 6 18',
  people: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20a6.5 6.5 0 0 1 13 0M16 4.4a3.5 3.5 0 0 1 0 6.2M18 14.5a6.5 6.5 0 0 1 3.5 5.5',
  data: 'M5 4h9l5 5v11H5V4ZM14 4v5h5M8.5 13h7M8.5 16.5h5',
  send: 'M4 12 20 4l-5 16-3.5-6.5L4 12Z',
  down: 'M12 5v13M6 12.5l6 6 6-6',
  check: 'M5 12.5 10 17.5 19.5 7',
  theme: 'M12 3a9 9 0 1 0 0 18V3Z',
  trash: 'M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10 11v5.5M14 11v5.5',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM12 7v5.5l3.5 2',
  download: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
} as const

export type IconName = keyof typeof paths

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor"
      stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">
      <path d={paths[name]} />
    </svg>
  )
}
