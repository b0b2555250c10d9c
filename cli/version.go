package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCmd struct{}

// Run prints version, commit, Go release and platform.
func (versionCmd) Run(env *Env) error {
	say(env.Stdout, "%s", version())
	return nil
}

// version comes from the module's version and the commit that Go stamps into the
// binary.
func version() string {
	text, commit := "devel", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			text = v
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return fmt.Sprintf("dps %s (commit %s, %s, %s/%s)", text, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
