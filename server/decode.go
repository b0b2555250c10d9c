package server

import (
	"fmt"
	"reflect"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// decoder makes unknown keys errors and reads durations from text.
func decoder(into *Config) *mapstructure.DecoderConfig {
	return &mapstructure.DecoderConfig{
		Result: into, TagName: "koanf", ErrorUnused: true, WeaklyTypedInput: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(needUnit, mapstructure.StringToTimeDurationHookFunc()),
	}
}

// needUnit refuses bare numbers as durations: they would count nanoseconds.
func needUnit(_, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() {
		return value, nil
	}
	switch value.(type) {
	case int, int64, uint64, float64:
		return nil, fmt.Errorf("a duration needs its unit, as in %vs, not %v", value, value)
	}
	return value, nil
}

func parseLevel(text string) (zapcore.Level, error) {
	level, err := zapcore.ParseLevel(text)
	if err != nil {
		return 0, fmt.Errorf("want debug, info, warn or error, not %q", text)
	}
	return level, nil
}

// NewLogger makes the logger that Log describes, writing to standard error.
func NewLogger(l Log) (*zap.Logger, error) {
	level, err := parseLevel(l.Level)
	if err != nil {
		return nil, err
	}
	c := zap.NewProductionConfig()
	if l.Format == "console" {
		c = zap.NewDevelopmentConfig()
		c.DisableStacktrace = true
	}
	c.Level, c.Sampling, c.DisableCaller = zap.NewAtomicLevelAt(level), nil, true
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return c.Build()
}
