package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set by the linker in a release; see the Makefile.
var version = "devel"

// versionCommand prints what this build is made of.
type versionCommand struct{}

// Run prints one line for each part.
func (versionCommand) Run(p *process) error {
	text := fmt.Sprintf("crosstalk %s\n%s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "modernc.org/sqlite", "github.com/gofiber/fiber/v2", "github.com/valyala/fasthttp", "github.com/coder/websocket", "gorm.io/gorm":
			text += m.Path + " " + m.Version + "\n"
		}
	}
	_, err := io.WriteString(p.stdout, text)
	return err
}

// versionText is the version set at build time, else the commit that Go noted, else "devel".
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if version != "devel" || !ok {
		return version
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return version
	}
	return version + "-" + commit + dirty
}
