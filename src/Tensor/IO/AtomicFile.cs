using System.Text;

namespace RefConv.IO;

/// <summary>
/// Writes a file so that its name always stands for a whole file: the bytes go to a temporary name in the same folder, are flushed to
/// the disk, and only then take the name. A run that is killed half-way leaves what was there before.
/// </summary>
public static class AtomicFile
{
    /// <summary>Writes a file through a stream. When <paramref name="write"/> throws, the temporary file is deleted and nothing has changed.</summary>
    /// <param name="path">Where to; an existing file is replaced, and a symbolic link is followed.</param>
    /// <param name="write">Writes the contents. It must not close the stream.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder or the file must not be written.</exception>
    /// <exception cref="IOException">The path is a folder, the disk is full, or the system failed in another way.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        ArgumentNullException.ThrowIfNull(write);
        string target = Resolve(path);
        string folder = Path.GetDirectoryName(target) ?? throw new IOException($"Cannot write '{path}': it is the root of a drive. Give the name of a file.");
        if (Directory.Exists(target)) throw new IOException($"Cannot write '{path}': it is a folder. Give the name of a file.");
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"Cannot write '{path}': there is no folder '{folder}'. Make it first.");

        // /dev/null and its like are written into: giving their name to a new file would replace the device.
        bool direct = folder == "/dev" && !OperatingSystem.IsWindows();
        string temporary = direct ? target : $"{target}.{Guid.NewGuid().ToString("N")[..8]}.tmp";
        bool done = false;
        try
        {
            var stream = Open(path, temporary, direct ? FileMode.Open : FileMode.CreateNew);
            try
            {
                var guarded = new GuardedStream(stream, path);
                write(guarded);
                guarded.Flush();
                if (!direct) Guard(path, () => stream.Flush(flushToDisk: true));
            }
            catch
            {
                Abandon(stream);
                throw;
            }
            Guard(path, stream.Dispose);
            if (!direct) Guard(path, () => File.Move(temporary, target, overwrite: true));
            done = true;
        }
        finally
        {
            if (!done && !direct) Delete(temporary);
        }
    }

    /// <summary>Writes bytes as a whole file.</summary>
    /// <inheritdoc cref="Write"/>
    public static void WriteAllBytes(string path, ReadOnlyMemory<byte> bytes) => Write(path, stream => stream.Write(bytes.Span));

    /// <summary>Writes text as a whole file, UTF-8 without a byte-order mark.</summary>
    /// <inheritdoc cref="Write"/>
    public static void WriteAllText(string path, string text) => WriteAllBytes(path, Encoding.UTF8.GetBytes(text));

    private static string Resolve(string path)
    {
        string full = Path.GetFullPath(path);
        try
        {
            return File.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full;
        }
        catch (IOException)
        {
            return full; // a link that leads nowhere or in a circle: the rename replaces it
        }
    }

    private static FileStream Open(string path, string temporary, FileMode mode)
    {
        FileStream? stream = null;
        Guard(path, () => stream = new FileStream(temporary, mode, FileAccess.Write, FileShare.None, 1 << 16));
        return stream!;
    }

    /// <summary>Closes a file that could not be written. Closing tries once more to write what is buffered, and its error would hide the first one.</summary>
    private static void Abandon(FileStream stream)
    {
        try
        {
            stream.Dispose();
        }
        catch (IOException)
        {
            // Known already.
        }
    }

    private static void Delete(string temporary)
    {
        try
        {
            File.Delete(temporary);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The first error is the one worth reporting.
        }
    }

    /// <summary>Does one thing to the file and says in its error which file it was, keeping the kind of the error.</summary>
    private static void Guard(string path, Action action)
    {
        try
        {
            action();
        }
        catch (UnauthorizedAccessException e)
        {
            throw new UnauthorizedAccessException($"Cannot write '{path}': access is denied. Choose another folder or change its permissions.", e);
        }
        catch (IOException e)
        {
            throw new IOException($"Cannot write '{path}': {e.Message.TrimEnd('.')}. What was there before is unchanged.", e);
        }
    }

    /// <summary>The stream handed out: it only writes, and a full disk is reported with the name the user gave.</summary>
    private sealed class GuardedStream(FileStream inner, string path) : Stream
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => inner.Length;

        public override long Position
        {
            get => inner.Position;
            set => throw new NotSupportedException("The file is written from front to back.");
        }

        public override void Flush() => Guard(path, inner.Flush);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("The file is being written.");

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("The file is written from front to back.");

        public override void SetLength(long value) => throw new NotSupportedException("The file is written from front to back.");

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            try
            {
                inner.Write(buffer);
            }
            catch (IOException e)
            {
                throw new IOException($"Cannot write '{path}': {e.Message.TrimEnd('.')}. What was there before is unchanged.", e);
            }
        }
    }
}
