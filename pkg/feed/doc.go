// Package feed turns what a publisher is given to read into messages: lines, JSON items a line, C escapes, templates, and
// the schedule on which one message is repeated.
//
// It knows neither sockets nor flags. What it reads it hands on at once, it never waits for more input than one line needs.
package feed
