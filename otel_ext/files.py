from otel_ext.journal.files import File as File, Files as Files, RealFile as RealFile, RealFiles as RealFiles
