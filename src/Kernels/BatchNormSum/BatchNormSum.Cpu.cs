using System.Runtime.CompilerServices;

namespace RefConv.Kernels;

/// <summary>
/// Sums of batch norms in as few passes as one: forward reads every map once and writes the sum; backward reads every map and dy for the sums over rows,
/// and again to write the gradients. Up to <see cref="MostTerms"/> at a time; more are done in turns, each with the sum so far as its residual.
/// </summary>
internal sealed unsafe partial class CpuKernels
{
    /// <summary>So many that the sums of a block of channels stay in the first-level cache.</summary>
    private const int MostTerms = 4;

    public void BatchNormSumTraining(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, BufferView residual, BufferView y)
    {
        for (int first = 0; first < terms.Length; first += MostTerms)
        {
            bool last = first + MostTerms >= terms.Length;
            SumOfNorms(last ? g : g with { Activation = ActivationKind.Identity }, terms[first..Math.Min(terms.Length, first + MostTerms)], first == 0 ? P(residual) : P(y), P(y));
        }
    }

    private void SumOfNorms(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, float* residual, float* y)
    {
        using var constants = _device.Scratch(3L * terms.Length * g.C);
        var maps = new TermMaps(terms, constants.Pointer, g.C);
        for (int i = 0; i < terms.Length; i++)
        {
            var t = terms[i];
            Statistics(g with { Epsilon = t.Epsilon }, P(t.X), P(t.Moments), P(t.RunningMean), P(t.RunningVar), t.Momentum, P(t.Mean), P(t.InvStd), P(t.Gamma), P(t.Beta), maps.Affine(i));
        }
        bool stream = CanStream(y, g) && residual != y;
        switch (g.Activation)
        {
            case ActivationKind.Identity: ForRows(new SumRowsOfNorms<IdentityFunction>(maps, residual, y, stream), 1, g.Rows, g.C); break;
            case ActivationKind.ReLU: ForRows(new SumRowsOfNorms<ReLUFunction>(maps, residual, y, stream), 1, g.Rows, g.C); break;
            case ActivationKind.ReLU6: ForRows(new SumRowsOfNorms<ReLU6Function>(maps, residual, y, stream), 1, g.Rows, g.C); break;
            default: throw BatchNormGeometry.NotFused(g.Activation);
        }
    }

    public void BatchNormSumTrainingBackward(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, BufferView y, BufferView dy)
    {
        var rest = g;
        for (int first = 0; first < terms.Length; first += MostTerms)
        {
            int last = Math.Min(terms.Length, first + MostTerms);
            GradientsOfNorms(rest, terms[first..last], gradients[first..last], P(y), P(dy));
            rest = g with { Activation = ActivationKind.Identity }; // dy is z by now
        }
    }

    private void GradientsOfNorms(in BatchNormGeometry g, ReadOnlySpan<BatchNormTerm> terms, ReadOnlySpan<BatchNormTermGradient> gradients, float* y, float* dy)
    {
        int n = terms.Length;
        using var constants = _device.Scratch(3L * n * g.C);
        using var lines = _device.Scratch(2L * n * g.C);
        var maps = new TermMaps(terms, constants.Pointer, g.C);
        for (int i = 0; i < n; i++)
        {
            var affine = maps.Affine(i);
            for (int c = 0; c < g.C; c++) affine.Set(c, P(terms[i].Mean)[c], (double)P(terms[i].Gamma)[c] * P(terms[i].InvStd)[c], 0);
        }
        using var sums = g.Activation switch
        {
            ActivationKind.Identity => SumColumns(new NormSumGradient<KeepGradient>(maps, null, dy), 1, g.Rows, g.C),
            ActivationKind.ReLU => SumColumns(new NormSumGradient<ReLUGradient>(maps, y, dy), 1, g.Rows, g.C),
            ActivationKind.ReLU6 => SumColumns(new NormSumGradient<ReLU6Gradient>(maps, y, dy), 1, g.Rows, g.C),
            _ => throw BatchNormGeometry.NotFused(g.Activation),
        };

        var targets = new TermTargets(lines.Pointer, g.C);
        for (int i = 0; i < n; i++)
        {
            float* inverses = P(terms[i].InvStd), gammas = P(terms[i].Gamma), dgamma = P(gradients[i].Dgamma), dbeta = P(gradients[i].Dbeta);
            float* slope = targets.Slope(i), offset = slope + g.C;
            double* z = sums.Sum(0), zx = sums.Sum(1 + i);
            for (int c = 0; c < g.C; c++)
            {
                if (dgamma != null) dgamma[c] = (float)((gradients[i].AccumulateGamma ? dgamma[c] : 0) + (inverses[c] * zx[c]));
                if (dbeta != null) dbeta[c] = (float)((gradients[i].AccumulateBeta ? dbeta[c] : 0) + z[c]);
                // See BatchNormTrainingBackward: dx is a line in z and x − mean.
                double factor = (double)gammas[c] * inverses[c];
                slope[c] = (float)(-factor * inverses[c] * inverses[c] * zx[c] / g.Rows);
                offset[c] = (float)(-factor * z[c] / g.Rows);
            }
            float* dx = P(gradients[i].Dx);
            targets.Set(i, dx, gradients[i].AccumulateInput, CanStream(dx, g));
        }
        if (targets.Any) ForRows(new NormSumInputGradients(maps, targets, dy), 1, g.Rows, g.C, backwards: true);
    }

    /// <summary>The maps of up to four norms, and per channel what each makes of them: y = (x − centre)·scale + shift.</summary>
    private struct TermMaps
    {
        public readonly int Count, Channels;
        private readonly float* _constants;
        private fixed long _maps[MostTerms];

        public TermMaps(ReadOnlySpan<BatchNormTerm> terms, float* constants, int channels)
        {
            (Count, Channels) = (terms.Length, channels);
            _constants = constants;
            for (int i = 0; i < terms.Length; i++) _maps[i] = (long)P(terms[i].X);
        }

        public readonly ChannelAffine Affine(int i) => new(_constants + (3L * i * Channels), Channels);

        /// <summary>x − centre</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly V Centred<V>(int i, long at, int c) where V : unmanaged =>
            Simd.Subtract(Simd.Load<V>((float*)_maps[i] + at), Simd.Load<V>(_constants + (3L * i * Channels) + c));

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly V Scale<V>(int i, int c) where V : unmanaged => Simd.Load<V>(_constants + (((3L * i) + 1) * Channels) + c);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly V Shift<V>(int i, int c) where V : unmanaged => Simd.Load<V>(_constants + (((3L * i) + 2) * Channels) + c);
    }

    /// <summary>Where the gradients of up to four maps go, and per channel the line that they are.</summary>
    private struct TermTargets(float* lines, int channels)
    {
        private fixed long _targets[MostTerms];
        private int _accumulate, _stream;

        public bool Any { get; private set; }

        public void Set(int i, float* dx, bool accumulate, bool canStream)
        {
            _targets[i] = (long)dx;
            Any |= dx != null;
            if (accumulate) _accumulate |= 1 << i;
            else if (canStream) _stream |= 1 << i;
        }

        public readonly float* Slope(int i) => lines + (2L * i * channels);

        public readonly float* Target(int i) => (float*)_targets[i];

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly void Put<V>(int i, long at, V d) where V : unmanaged
        {
            float* target = Target(i) + at;
            if ((_stream >> i & 1) != 0) Simd.StoreStreamed(target, d);
            else Simd.Store(target, (_accumulate >> i & 1) != 0 ? Simd.Add(Simd.Load<V>(target), d) : d);
        }
    }

    /// <summary>y = f(Σ ((x − centre)·scale + shift) + residual)</summary>
    private readonly struct SumRowsOfNorms<F>(TermMaps maps, float* residual, float* y, bool stream) : IRowKernel where F : struct, IElementFunction
    {
        private readonly TermMaps _maps = maps;
        private readonly float* _residual = residual, _y = y;
        private readonly bool _stream = stream;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _maps.Channels) + c;
            V v = Term<V>(0, at, c);
            if (_maps.Count > 1) v = Simd.Add(v, Term<V>(1, at, c));
            if (_maps.Count > 2) v = Simd.Add(v, Term<V>(2, at, c));
            if (_maps.Count > 3) v = Simd.Add(v, Term<V>(3, at, c));
            if (_residual != null) v = Simd.Add(v, Simd.Load<V>(_residual + at));
            v = default(F).Apply(v);
            if (_stream) Simd.StoreStreamed(_y + at, v);
            else Simd.Store(_y + at, v);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private V Term<V>(int i, long at, int c) where V : unmanaged => Simd.Fma(_maps.Centred<V>(i, at, c), _maps.Scale<V>(i, c), _maps.Shift<V>(i, c));
    }

    /// <summary>Sum 0: Σ z, z = F(y, dy), which replaces dy. Sum 1 + i: Σ z·(xᵢ − mean).</summary>
    private readonly struct NormSumGradient<F>(TermMaps maps, float* y, float* dy) : IColumnSum where F : struct, IElementFunction2
    {
        private readonly TermMaps _maps = maps;
        private readonly float* _y = y, _dy = dy;

        public int Sums => 1 + _maps.Count;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Add<V>(long at, int c, float* sums, int stride) where V : unmanaged
        {
            V z = Simd.Load<V>(_dy + at);
            if (_y != null)
            {
                z = default(F).Apply(Simd.Load<V>(_y + at), z);
                Simd.Store(_dy + at, z);
            }
            Simd.Store(sums + c, Simd.Add(Simd.Load<V>(sums + c), z));
            Term(0, at, c, z, sums + stride);
            if (_maps.Count > 1) Term(1, at, c, z, sums + (2 * stride));
            if (_maps.Count > 2) Term(2, at, c, z, sums + (3 * stride));
            if (_maps.Count > 3) Term(3, at, c, z, sums + (4 * stride));
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Term<V>(int i, long at, int c, V z, float* sum) where V : unmanaged =>
            Simd.Store(sum + c, Simd.Fma(z, _maps.Centred<V>(i, at, c), Simd.Load<V>(sum + c)));
    }

    /// <summary>dxᵢ (+)= z·scale + (xᵢ − mean)·slope + offset</summary>
    private readonly struct NormSumInputGradients(TermMaps maps, TermTargets targets, float* z) : IRowKernel
    {
        private readonly TermMaps _maps = maps;
        private readonly TermTargets _targets = targets;
        private readonly float* _z = z;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public void Run<V>(long image, long row, int c) where V : unmanaged
        {
            long at = (row * _maps.Channels) + c;
            V z = Simd.Load<V>(_z + at);
            Term(0, at, c, z);
            if (_maps.Count > 1) Term(1, at, c, z);
            if (_maps.Count > 2) Term(2, at, c, z);
            if (_maps.Count > 3) Term(3, at, c, z);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private void Term<V>(int i, long at, int c, V z) where V : unmanaged
        {
            if (_targets.Target(i) == null) return;
            float* slope = _targets.Slope(i);
            _targets.Put(i, at, Simd.Fma(z, _maps.Scale<V>(i, c), Simd.Fma(_maps.Centred<V>(i, at, c), Simd.Load<V>(slope + c), Simd.Load<V>(slope + _maps.Channels + c))));
        }
    }
}
