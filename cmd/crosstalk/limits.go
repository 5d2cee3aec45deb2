package main

import (
	"errors"
	"reflect"

	"crosstalk/hub/limits"
)

// limitSettings keep one caller from taking what all need. They hold on a hub with a key.
type limitSettings struct {
	TrustedProxy        []string `group:"Access" placeholder:"ADDR" from:"CROSSTALK_TRUSTED_PROXY" help:"Believe what these proxies say in X-Forwarded-For: addresses and ranges, such as 10.0.0.0/8."`
	LimitAllConnections int      `group:"Limits" placeholder:"N" from:"CROSSTALK_LIMIT_ALL_CONNECTIONS" help:"Connections of all kinds open at once, of all callers, with and without keys. Without it: as many as memory has 128 KiB for, and at most 65536."`
	LimitRequests       float64  `group:"Limits" default:"500" placeholder:"N" from:"CROSSTALK_LIMIT_REQUESTS" help:"Requests a second, of a caller and of an address; 0, here and below: no limit. Without it: 500."`
	LimitPublishes      float64  `group:"Limits" default:"200" placeholder:"N" from:"CROSSTALK_LIMIT_PUBLISHES" help:"Messages a second, of a caller. Without it: 200."`
	LimitFailures       float64  `group:"Limits" default:"60" placeholder:"N" from:"CROSSTALK_LIMIT_FAILURES" help:"Wrong keys a minute, of an address. Without it: 60."`
	LimitConnections    int      `group:"Limits" default:"1000" placeholder:"N" from:"CROSSTALK_LIMIT_CONNECTIONS" help:"WebSockets and streams open at once, of a caller and of an address. Without it: 1000."`
	LimitSubscriptions  int      `group:"Limits" default:"20000" placeholder:"N" from:"CROSSTALK_LIMIT_SUBSCRIPTIONS" help:"Channels subscribed to at once, of a caller. Without it: 20000."`
	LimitWaits          int      `group:"Limits" default:"1000" placeholder:"N" from:"CROSSTALK_LIMIT_WAITS" help:"Waits open at once, of a caller. Without it: 1000."`
	LimitBodies         int      `group:"Limits" default:"4" placeholder:"N" from:"CROSSTALK_LIMIT_BODIES" help:"Bodies above 2 MiB on their way at once, of a caller; four times as many of all. Without it: 4."`
	LimitMiB            int64    `group:"Limits" name:"limit-mib" default:"20480" placeholder:"MIB" from:"CROSSTALK_LIMIT_MIB" help:"Messages and shared data stored in all. Without it: 20480."`
	LimitChannelMiB     int64    `group:"Limits" name:"limit-channel-mib" default:"2048" placeholder:"MIB" from:"CROSSTALK_LIMIT_CHANNEL_MIB" help:"The same in one channel. Without it: 2048."`
	LimitChannels       int64    `group:"Limits" default:"20000" placeholder:"N" from:"CROSSTALK_LIMIT_CHANNELS" help:"Channels in all. Without it: 20000."`
	LimitOwnChannels    int64    `group:"Limits" default:"1000" placeholder:"N" from:"CROSSTALK_LIMIT_OWN_CHANNELS" help:"Channels made in a day with one named key or grant. Without it: 1000."`
}

func (s *limitSettings) check() error {
	var all []error
	fields := reflect.ValueOf(*s)
	for f, v := range fields.Fields() {
		if v.CanFloat() && !(v.Float() >= 0 && v.Float() <= 1e9) || v.CanInt() && (v.Int() < 0 || v.Int() > 1e9) {
			all = append(all, misuse("%s must be a number from 0, which is no limit, to a billion, not %v", f.Tag.Get("from"), v))
		}
	}
	return errors.Join(all...)
}

func (s *limitSettings) limits() *limits.Limits {
	return limits.New(limits.Config{
		Requests: s.LimitRequests, Publishes: s.LimitPublishes, Failures: s.LimitFailures, Connections: s.LimitConnections,
		Subscriptions: s.LimitSubscriptions, Waits: s.LimitWaits, Bodies: s.LimitBodies, Bytes: s.LimitMiB << 20,
		ChannelBytes: s.LimitChannelMiB << 20, Channels: s.LimitChannels, OwnChannels: s.LimitOwnChannels,
	})
}
