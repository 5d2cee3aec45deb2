package models

import "strings"

// SharedData is a text that outgrows a message, stored under a key.
type SharedData struct {
	Key         string `json:"key" gorm:"primaryKey"`
	Content     string `json:"content"`
	CreatedBy   string `json:"created_by"`
	Description string `json:"description"`
	Channel     string `json:"channel"`
	SizeBytes   int64  `json:"size_bytes"`
	Version     int64  `json:"version"`
	CreatedAt   Time   `json:"created_at" gorm:"autoCreateTime:false"`
}

// DataDraft is shared data before it is stored. ParseData makes a valid one.
type DataDraft struct {
	Key         string
	Content     string
	Sender      string
	Description string
	Channel     string // may be empty
	IfVersion   *int64 // store only over this version; 0: only if there is none
}

// ParseData checks and normalises what a client sent.
func ParseData(d DataDraft) (DataDraft, error) {
	var err error
	if d.Key, err = ParseDataKey(d.Key); err != nil {
		return DataDraft{}, err
	}
	if strings.HasPrefix(d.Key, "#") {
		return DataDraft{}, Errorf(Invalid, "key %q is reserved: keys beginning with # name messages", d.Key)
	}
	if d.Sender, err = ParseInstance("sender", d.Sender); err != nil {
		return DataDraft{}, err
	}
	if d.Channel != "" {
		if d.Channel, err = ParseChannel(d.Channel); err != nil {
			return DataDraft{}, err
		}
	}
	if err := checkText("description", d.Description, 0, MaxDescription); err != nil {
		return DataDraft{}, err
	}
	if err := checkText("content", d.Content, 1, MaxData); err != nil {
		return DataDraft{}, err
	}
	return d, nil
}

// ParseDataKey checks the name of shared data.
func ParseDataKey(key string) (string, error) {
	if err := checkName("key", key); err != nil {
		return "", err
	}
	return key, nil
}

// TableName keeps the noun singular: data has no plural.
func (SharedData) TableName() string { return "shared_data" }
