"""The tab Chat: speakers, talks, chats on disk, and corrections."""
