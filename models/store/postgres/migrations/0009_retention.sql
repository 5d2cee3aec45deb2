-- What a channel keeps, where that is not what the hub keeps. Null: the hub's; 0: no limit.
ALTER TABLE channels ADD COLUMN keep_days BIGINT;
ALTER TABLE channels ADD COLUMN keep_messages BIGINT;
