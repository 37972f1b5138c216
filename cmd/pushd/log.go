package main

import (
	"io"
	"log/slog"
)

// newLogger returns a logger to w. level and format were validated.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	var o slog.HandlerOptions
	l := new(slog.LevelVar)
	if l.UnmarshalText([]byte(level)) == nil {
		o.Level = l
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &o))
	}
	return slog.New(slog.NewTextHandler(w, &o))
}
