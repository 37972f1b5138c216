package sysprep

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Setting is one line of a file in the syntax of sysctl.d.
type Setting struct {
	File  string // as its reader named it
	Line  int    // from 1
	Key   string // with dots between its parts; a dot within a part, as of the interface eth0.7, is a slash
	Value string // without white space around it

	Optional bool // "-key": that it cannot be set is no error
	Glob     bool // Key is a pattern
	Exclude  bool // "-key" without a value: patterns pass over it
}

// LineError is a line that is no setting.
type LineError struct {
	File string
	Line int
	Text string // what is wrong, a clause
}

func (e LineError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// parseSettings reads a file as systemd-sysctl does, line by line; a line that is not understood does not stop it. file
// is its name for the results.
func parseSettings(file string, text []byte) (settings []Setting, bad []LineError) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || line[0] == ';' {
			continue
		}
		s, problem := parseSetting(string(line))
		if problem != "" {
			bad = append(bad, LineError{File: file, Line: n, Text: problem})
			continue
		}
		s.File, s.Line = file, n
		settings = append(settings, s)
	}
	return settings, bad
}

// parseSetting reads one line that is neither empty nor a comment, or says what is wrong with it.
func parseSetting(line string) (s Setting, problem string) {
	if !utf8.ValidString(line) || strings.ContainsFunc(line, isControl) {
		return Setting{}, "not text"
	}
	left, value, assigns := strings.Cut(line, "=")
	left = strings.TrimSpace(left)
	key, optional := strings.CutPrefix(left, "-")
	key = strings.TrimSpace(key)
	switch {
	case !assigns && !optional:
		return Setting{}, fmt.Sprintf("%.40q is no assignment", line)
	case key == "":
		return Setting{}, "there is no key before the ="
	case strings.ContainsFunc(key, unicode.IsSpace):
		return Setting{}, fmt.Sprintf("the key %.40q has a space in it", key)
	}
	name, ok := canonicalKey(key)
	if !ok {
		return Setting{}, fmt.Sprintf("%.40q is no key of a kernel setting", key)
	}
	glob := strings.ContainsAny(name, "*?[")
	if _, err := path.Match(name, ""); err != nil {
		return Setting{}, fmt.Sprintf("the pattern %.40q does not end", key)
	}
	return Setting{Key: name, Value: strings.TrimSpace(value), Optional: optional, Glob: glob, Exclude: !assigns}, ""
}

// isControl reports a character that no line of text has; tabs are white space.
func isControl(r rune) bool { return r != '\t' && unicode.IsControl(r) || r == '\ufeff' }

// canonicalKey writes a key with dots between its parts. In a key whose first separator is a slash the dots belong to
// the parts, and the other way round.
func canonicalKey(key string) (string, bool) {
	key = strings.TrimLeft(key, "/")
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		key = swapSeparators(key)
	}
	// "." and ".." as parts of a path would lead out of the settings
	parts := strings.Split(key, ".")
	bad := func(part string) bool { return part == "" || part == "/" || part == "//" }
	if slices.ContainsFunc(parts, bad) {
		return "", false
	}
	return key, true
}

// swapSeparators turns dots into slashes and slashes into dots.
func swapSeparators(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, s)
}

// matches reports whether the setting is about key, by name or by pattern.
func (s Setting) matches(key string) bool {
	if !s.Glob {
		return s.Key == key
	}
	// a * of a pattern stays within one part, so that the parts have to be divided as path.Match divides them
	ok, err := path.Match(swapSeparators(s.Key), swapSeparators(key))
	return err == nil && ok
}
