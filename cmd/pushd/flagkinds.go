package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"

	"holdfast/cmd/internal/app"
)

// The constructors of settings by kind. defaultText explains a default that depends on the machine; "" shows the value.

func stringFlag(name, value, usage, defaultText string) cli.Flag {
	return altsrc.NewStringFlag(&cli.StringFlag{Name: name, Value: value, Usage: usage, DefaultText: defaultText, EnvVars: env(name)})
}

func stringsFlag(name string, value []string, usage string) cli.Flag {
	return altsrc.NewStringSliceFlag(&cli.StringSliceFlag{Name: name, Value: cli.NewStringSlice(value...), Usage: usage, EnvVars: env(name)})
}

func boolFlag(name, usage string) cli.Flag {
	return altsrc.NewBoolFlag(&cli.BoolFlag{Name: name, EnvVars: env(name), DisableDefaultText: true, Usage: usage})
}

func intFlag(name string, value int, usage, defaultText string) cli.Flag {
	return altsrc.NewIntFlag(&cli.IntFlag{Name: name, Value: value, Usage: "`N` " + usage, DefaultText: defaultText, EnvVars: env(name)})
}

func sizeFlag(name string, value int64, usage, defaultText string) cli.Flag {
	size := app.Size(value)
	return altsrc.NewGenericFlag(&cli.GenericFlag{Name: name, Value: &size, Usage: usage, DefaultText: defaultText, EnvVars: env(name)})
}

func durationFlag(name string, value time.Duration, usage string) cli.Flag {
	return altsrc.NewDurationFlag(&cli.DurationFlag{Name: name, Value: value, Usage: "`TIME` " + usage,
		DefaultText: durationText(value), EnvVars: env(name)})
}

// durationText is the duration without units that are zero: 1m for 1m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// tomlValue turns v, read from a TOML file, into what altsrc wants for the flag. It fails with the kind of value that
// the flag takes.
func tomlValue(f cli.Flag, v any) (any, error) {
	switch f.(type) {
	case *altsrc.StringFlag:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, wantedError("a string")
	case *altsrc.StringSliceFlag:
		return tomlStrings(v)
	case *altsrc.IntFlag:
		if n, ok := v.(int64); ok && n == int64(int(n)) {
			return int(n), nil
		}
		return nil, wantedError("a whole number")
	case *altsrc.BoolFlag:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, wantedError("true or false")
	case *altsrc.DurationFlag:
		s, _ := v.(string)
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
		return nil, wantedError(`a string with a duration, such as "500ms", "10s" or "1m"`)
	}
	return tomlSize(v)
}

func tomlStrings(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return []any{v}, nil
	case int64: // as in history = 100
		return []any{strconv.FormatInt(v, 10)}, nil
	}
	list, ok := v.([]any)
	for _, e := range list {
		if _, isString := e.(string); !isString {
			ok = false
		}
	}
	if !ok || len(list) == 0 {
		return nil, wantedError("a string or a list of strings")
	}
	return list, nil
}

func tomlSize(v any) (any, error) {
	size := new(app.Size)
	switch v := v.(type) {
	case int64:
		if v >= 0 {
			*size = app.Size(v)
			return size, nil
		}
	case string:
		if size.Set(v) == nil {
			return size, nil
		}
	}
	return nil, wantedError(`a number of bytes, or a string with KiB, MiB or GiB, such as "256KiB"`)
}

// wantedError names what kind of value is wanted.
type wantedError string

func (e wantedError) Error() string { return "want " + string(e) }
