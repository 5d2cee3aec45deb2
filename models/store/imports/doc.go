// Package imports takes over what a cross-claude-mcp has kept, from its SQLite file or its PostgreSQL database: channels,
// messages with their ids and replies, instances, shared data, read positions. It reads one state of it and changes
// nothing there. All is taken over or nothing is. What has been taken over is not taken again, so it may be run as often as
// one likes. A row that this bus could not have accepted is mended, or left out where that is not possible, and the report
// counts it and names the first.
package imports
