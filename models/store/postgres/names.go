package postgres

import (
	"context"
	"database/sql"
	"regexp"
	"strings"
)

// tables finds the names of our tables where a statement says which table it means.
var tables = regexp.MustCompile(`\b((?:FROM|JOIN|INTO|UPDATE)\s+)("?(?:` + strings.Join(tableNames(), "|") + `)\b)`)

// tableNames are those that the migrations make.
func tableNames() (names []string) {
	for _, m := range versions() {
		for _, made := range regexp.MustCompile(`CREATE TABLE (\w+)`).FindAllStringSubmatch(m.text, -1) {
			names = append(names, made[1])
		}
	}
	return names
}

// qualify says of each table that it is in our schema. A search path would do this too, but belongs to a session.
func qualify(query string) string { return tables.ReplaceAllString(query, "${1}crosstalk.${2}") }

// reader is a pool as GORM wants it. What it reads it asks for once more when the connection was gone.
type reader struct{ db *sql.DB }

func (r *reader) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return r.db.PrepareContext(ctx, qualify(query))
}

func (r *reader) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return r.db.ExecContext(ctx, qualify(query), args...)
}

func (r *reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query = qualify(query)
	rows, err := r.db.QueryContext(ctx, query, args...)
	if err != nil && again(err) {
		return r.db.QueryContext(ctx, query, args...)
	}
	return rows, err
}

func (r *reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	query = qualify(query)
	row := r.db.QueryRowContext(ctx, query, args...)
	if err := row.Err(); err != nil && again(err) {
		return r.db.QueryRowContext(ctx, query, args...)
	}
	return row
}
