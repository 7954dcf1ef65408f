using RefConv.Kernels;

namespace RefConv.Cases;

/// <summary>A device's kernel held against the reference on one row. Shared by the tests and by the check that runs on machines with a GPU.</summary>
public static class KernelComparison
{
    /// <summary>What is around an operand, to see writes outside it.</summary>
    private const float Guard = 12345;

    /// <summary>The first thing that is wrong, or null.</summary>
    /// <param name="c">The row.</param>
    /// <param name="device">The device.</param>
    /// <param name="before">Elements between the beginning of a buffer and the operand: 1 for one that is not aligned.</param>
    public static string? Check(KernelCase c, Device device, int before = 1)
    {
        try
        {
            using var reference = new ReferenceDevice { PoisonBuffers = true };
            double[][] expected = Run(c, reference);
            double[][] terms = c.Tolerance == Tolerance.Terms ? Run(c, reference, absolute: true) : expected;
            return Compare(c, expected, terms, Run(c, device, before: before));
        }
        catch (GuardException e)
        {
            return e.Message;
        }
    }

    /// <summary>Every operand after the kernel ran, inputs included.</summary>
    /// <param name="c">The row.</param>
    /// <param name="device">Where.</param>
    /// <param name="absolute">On the absolute values of its inputs: what the error of a sum is relative to.</param>
    /// <param name="before">As in <see cref="Check"/>.</param>
    /// <exception cref="GuardException">The kernel wrote outside an operand.</exception>
    public static double[][] Run(KernelCase c, Device device, bool absolute = false, int before = 1)
    {
        var buffers = new DeviceBuffer?[c.Operands.Length];
        var views = new BufferView[c.Operands.Length];
        double[][] results = new double[c.Operands.Length][];
        try
        {
            for (int o = 0; o < views.Length; o++)
            {
                var operand = c.Operands[o];
                if (operand.Role == Role.None) continue;
                buffers[o] = device.Rent(operand.Length + before + 64);
                device.Write(buffers[o]!.View, Enumerable.Repeat(Guard, (int)operand.Length + before + 64).ToArray());
                views[o] = buffers[o]!.View.Slice(before, operand.Length);
                float[] values = operand.Role == Role.Out ? [.. Enumerable.Repeat(float.NaN, (int)operand.Length)] : c.Values(operand);
                if (absolute) values = [.. values.Select(MathF.Abs)];
                device.Write(views[o], values);
            }
            c.Invoke(device.Kernels, views);
            for (int o = 0; o < views.Length; o++)
            {
                results[o] = new double[views[o].Length];
                if (views[o].IsEmpty) continue;
                device.Read(views[o], results[o]);
                double[] all = new double[buffers[o]!.Length];
                device.Read(buffers[o]!.View, all);
                if (!all.Take(before).Concat(all.Skip((int)c.Operands[o].Length + before)).All(v => v == Guard)) throw new GuardException($"{c}: wrote outside '{c.Operands[o].Name}'");
            }
            return results;
        }
        finally
        {
            foreach (var buffer in buffers) buffer?.Dispose();
        }
    }

    private static string? Compare(KernelCase c, double[][] expected, double[][] terms, double[][] actual)
    {
        for (int o = 0; o < c.Operands.Length; o++)
        {
            if (c.Operands[o].Role is Role.In or Role.None)
            {
                if (!actual[o].AsSpan().SequenceEqual(expected[o])) return $"{c}: the kernel changed its input '{c.Operands[o].Name}'";
                continue;
            }
            for (int i = 0; i < expected[o].Length; i++)
            {
                double scale = c.Tolerance switch
                {
                    Tolerance.Terms => Math.Max(Math.Abs(terms[o][i]), 1e-30),
                    Tolerance.Value => Math.Max(1, Math.Abs(expected[o][i])),
                    _ => 1,
                };
                double error = Math.Abs(actual[o][i] - expected[o][i]) / scale;
                bool good = expected[o][i].Equals(actual[o][i]) || error <= c.Limit;
                if (!good) return $"{c}: {c.Operands[o].Name}[{i}] is {actual[o][i]:R}, the reference says {expected[o][i]:R} (error {error:E2}, allowed {c.Limit:E0})";
            }
        }
        return null;
    }
}

/// <summary>A kernel wrote where it must not.</summary>
public sealed class GuardException(string message) : Exception(message);
