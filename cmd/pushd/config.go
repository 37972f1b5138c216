package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"

	"holdfast/cmd/internal/app"
)

// configFile is a TOML file that was read: the values for altsrc, and the line of each key.
type configFile struct {
	path   string
	values map[any]any
	lines  map[string]int
}

// readConfig reads the file at path. Its error lists everything that is wrong with it, each with its line.
func readConfig(path string, flags []cli.Flag) (*configFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, app.Usagef("--config: %w", err)
	}
	return parseConfig(path, string(text), flags)
}

func parseConfig(path, text string, flags []cli.Flag) (*configFile, error) {
	f := &configFile{path: path, values: make(map[any]any), lines: make(map[string]int)}
	var raw map[string]toml.Primitive
	md, err := toml.Decode(text, &raw)
	if err != nil {
		return nil, app.Usagef("%s", f.syntaxError(err))
	}
	var wrong problems
	for _, key := range topKeys(md) {
		line := lineOf(md, raw[key])
		if err := f.take(md, key, raw[key], flags); err != nil {
			wrong.add("%s: %v", position(path, line), err)
		}
		f.lines[key] = line
	}
	return f, wrong.err()
}

// take stores the value of key if there is a flag of that name and the value is of its kind.
func (f *configFile) take(md toml.MetaData, key string, p toml.Primitive, flags []cli.Flag) error {
	var names []string
	for _, fl := range flags {
		name := fl.Names()[0]
		names = append(names, name)
		if name != key {
			continue
		}
		var v any
		if err := md.PrimitiveDecode(p, &v); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		value, err := tomlValue(fl, v)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", key, shown(v), err)
		}
		f.values[key] = value
		return nil
	}
	return fmt.Errorf("unknown key %q%s", key, meant(key, names...))
}

// shown is a TOML value in an error text.
func shown(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case map[string]any, []map[string]any:
		return "a table"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v)
}

func (f *configFile) syntaxError(err error) string {
	var pe toml.ParseError
	if !errors.As(err, &pe) {
		return f.path + ": " + err.Error()
	}
	return position(f.path, pe.Position.Line) + ": " + strings.TrimSuffix(pe.Message, ".")
}

func position(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

// topKeys lists the first parts of all keys in the order of the file, each once.
func topKeys(md toml.MetaData) []string {
	var keys []string
	seen := make(map[string]bool)
	for _, k := range md.Keys() {
		if !seen[k[0]] {
			seen[k[0]] = true
			keys = append(keys, k[0])
		}
	}
	return keys
}

// lineOf is the line of the value p. The library tells lines only in its errors, so it is asked to decode p into
// something that refuses. The table that a dotted key implies has no line; it is that of its first member.
func lineOf(md toml.MetaData, p toml.Primitive) int {
	var pe toml.ParseError
	if errors.As(md.PrimitiveDecode(p, new(refuser)), &pe) && pe.Position.Line > 0 {
		return pe.Position.Line
	}
	line := 0
	var members map[string]toml.Primitive
	if md.PrimitiveDecode(p, &members) == nil {
		for _, m := range members {
			if l := lineOf(md, m); l > 0 && (line == 0 || l < line) {
				line = l
			}
		}
	}
	return line
}

// refuser is a toml.Unmarshaler that fails.
type refuser struct{}

// UnmarshalTOML fails.
func (*refuser) UnmarshalTOML(any) error { return errors.New("located") }

// source gives altsrc the values of the files. Those of a pushpin.conf give way to those of the TOML file.
func (cfg *config) source() altsrc.InputSourceContext {
	name, values := "", make(map[any]any)
	if cfg.pushpin != nil {
		name = cfg.pushpin.path
		maps.Copy(values, cfg.pushpin.values)
	}
	if cfg.file != nil {
		name = cfg.file.path
		maps.Copy(values, cfg.file.values)
	}
	return altsrc.NewMapInputSource(name, values)
}

// problems collects what is wrong with a configuration, so that all of it is said at once.
type problems []string

func (p *problems) add(format string, args ...any) {
	*p = append(*p, fmt.Sprintf(format, args...))
}

// err is a usage error with one line for each problem, nil when there is none.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return app.Usagef("%s", strings.Join(p, "\npushd: "))
}
